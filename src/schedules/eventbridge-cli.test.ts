/** `schedule eventbridge`: what it prints, and what it asks of the server. */
import { CommanderError, type Command } from 'commander'
import { describe, expect, it } from 'vitest'
import type { SchedulesConnection, SchedulesContext } from '../cli/schedules-context.ts'
import { printError } from '../cli/output.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import type { TriggerControl, TriggerStatus } from './api.ts'
import { scheduleCommands } from './cli.ts'

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function eventbridge(argv: readonly string[], control: Partial<TriggerControl> = {}): Promise<Ran> {
  const ran = { code: 0, out: '', err: '' }
  const connection = { trigger: control, close: async () => undefined } as unknown as SchedulesConnection
  const context: SchedulesContext = {
    connect: async () => connection,
    stdout: { write: (text: string) => (ran.out += text) },
    stderr: { write: (text: string) => (ran.err += text) },
    env: {},
    cwd: '.',
    clock: new ManualClock(),
    random: seededRandom(1),
    setExitCode: (code) => (ran.code = code),
  }
  const command = scheduleCommands(context)
  const quiet = (one: Command): void => {
    one.exitOverride().configureOutput({ writeOut: () => undefined, writeErr: (text) => (ran.err += text) })
    one.commands.forEach(quiet)
  }
  quiet(command)
  try {
    await command.parseAsync(['eventbridge', ...argv], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) ran.code = error.exitCode
    else ran.code = printError(error, context, { json: false })
  }
  return ran
}

const INIT = [
  'init',
  'shop',
  '--environment',
  'test',
  '--url',
  'https://shop.example.org',
  '--region',
  'eu-west-1',
]

interface Statement {
  readonly Sid: string
  readonly Action: readonly string[]
  readonly Resource: readonly string[]
}

describe('init', () => {
  it('makes a key that is hard to guess, another one each time, and names in the usual pattern', async () => {
    const { code, out } = await eventbridge([...INIT, '--account', '297649722856'])
    expect(code).toBe(0)
    expect(out).toMatch(/^AwsEventBridgeSettings__APIKey=[\w-]{43}$/m)
    expect(out).toContain(
      'AwsEventBridgeSettings__TargetRoleArn=arn:aws:iam::297649722856:role/shop-test-RunJob-Target\n',
    )
    expect(out).toContain('AwsEventBridgeSettings__ApiConnectionName=shop-test-RunJob-Connection\n')
    expect(out).toContain('AwsEventBridgeSettings__ApiDestinationName=shop-test-RunJob-ApiDestination\n')
    expect(out).toContain('EB_TARGET_URL=https://shop.example.org\n')
    expect(out).toContain('SIGNALBOX_SCHEDULES_TRIGGER=eventbridge\n')
    const keyOf = (text: string): string | undefined => /APIKey=(\S+)/.exec(text)?.[1]
    expect(keyOf((await eventbridge(INIT)).out)).not.toBe(keyOf(out))
  })

  it('gives the role one right, and the server only what is its own', async () => {
    const { out } = await eventbridge([...INIT, '--json'])
    const made = JSON.parse(out) as {
      readonly roles: readonly {
        readonly name: string
        readonly policy: { readonly Statement: readonly Statement[] }
      }[]
      readonly serverPolicy: { readonly Statement: readonly Statement[] }
    }
    expect(made.roles).toHaveLength(1)
    expect(made.roles[0]?.policy.Statement).toMatchObject([
      {
        Action: ['events:InvokeApiDestination'],
        Resource: ['arn:aws:events:eu-west-1:123456789012:api-destination/shop-test-RunJob-ApiDestination/*'],
      },
    ])
    const broad = made.serverPolicy.Statement.filter(({ Resource }) => Resource.includes('*'))
    expect(broad.map(({ Action }) => Action)).toEqual([['events:ListRules', 'events:ListRuleNamesByTarget']])
    const actions = made.serverPolicy.Statement.flatMap(({ Action }) => Action)
    expect(actions).toEqual(
      expect.arrayContaining(['iam:PassRole', 'events:PutRule', 'events:CreateConnection']),
    )
    expect(actions.some((action) => action.includes('*'))).toBe(false)
  })

  it('has a second role for the Scheduler', async () => {
    const { out } = await eventbridge([...INIT, '--scheduler'])
    expect(out).toContain('SIGNALBOX_SCHEDULES_TRIGGER=eventbridge-scheduler\n')
    expect(out).toMatch(/SIGNALBOX_SCHEDULES_EVENT_BRIDGE_SCHEDULER_ROLE_ARN=\S+-RunJob-Scheduler\n/)
    expect(out).toContain('scheduler.amazonaws.com')
    expect(out).toContain('events:PutEvents')
  })

  it.each([
    [['init', 'a b', ...INIT.slice(2)], /project/],
    [['init', 's'.repeat(40), ...INIT.slice(2)], /42 characters/],
    [[...INIT, '--account', '1'], /12 digits/],
    [[...INIT.slice(0, 4), '--url', 'http://x', '--region', 'eu-west-1'], /not an https address/],
  ])('refuses what AWS would refuse: %j', async (argv, why) => {
    const { code, err } = await eventbridge(argv)
    expect(code).toBe(64)
    expect(err).toMatch(why)
  })
})

const STATUS: TriggerStatus = {
  kind: 'eventbridge',
  facts: { region: 'eu-west-1', connection: 'shop' },
  checkedAt: '2030-01-01T00:00:00.000Z',
  drift: [
    {
      object: 'rule',
      name: 'nightly',
      problem: 'foreign',
      detail: 'not ours',
      repaired: false,
      error: 'not touched',
    },
  ],
  schedules: { in_sync: 3, pending: 0, failed: 1, refused: 0 },
}

describe('at a server', () => {
  it('status shows what is kept there, and what is not as it should be', async () => {
    const { out } = await eventbridge(['status'], { status: async () => STATUS })
    expect(out).toMatch(/schedules +3 in sync, 1 failed/)
    expect(out).toMatch(/rule nightly +foreign +not ours: not touched/)
    const asJson = await eventbridge(['status', '--json'], { status: async () => STATUS })
    expect(JSON.parse(asJson.out)).toEqual(STATUS)
  })

  it('reconcile asks for what its flags say, and fails while something is left', async () => {
    const asked: unknown[] = []
    const reconcile: TriggerControl['reconcile'] = async (request) => {
      asked.push(request)
      return { drift: request.adopt === true ? [] : STATUS.drift }
    }
    expect((await eventbridge(['reconcile'], { reconcile })).code).toBe(1)
    expect((await eventbridge(['reconcile', '--dry-run'], { reconcile })).code).toBe(0)
    const adopted = await eventbridge(['reconcile', '--adopt'], { reconcile })
    expect([adopted.code, adopted.out]).toEqual([0, 'Everything is as it should be.\n'])
    expect(asked).toEqual([
      { dryRun: false, adopt: false },
      { dryRun: true, adopt: false },
      { dryRun: false, adopt: true },
    ])
  })

  it('remove wants --yes', async () => {
    const remove: TriggerControl['remove'] = async () => ({ removed: ['rule nightly'] })
    const refused = await eventbridge(['remove'], { remove })
    expect([refused.code, refused.out]).toEqual([64, ''])
    expect((await eventbridge(['remove', '--yes'], { remove })).out).toBe('removed rule nightly\n')
  })
})
