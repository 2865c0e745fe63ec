/**
 * The AWS module for schedules gives EventBridge two roles that can do one thing each, and the server what its driver calls and nothing
 * more: read from its text, and evaluated by Terraform where that is installed (terraform.test.ts says so where it is not).
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { eventBridgeSetup } from '../../src/schedules/eventbridge-setup.ts'
import { root } from '../support/processes.ts'
import { argument, block, source } from './hcl.ts'
import { evaluate, terraform } from './tools.ts'

const aws = source('schedules-aws')
const evaluated = it.skipIf(terraform === undefined)

interface Statement {
  readonly Sid?: string
  readonly Action: readonly string[]
  readonly Resource?: readonly string[]
  readonly Principal?: object
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

const ACCOUNT = '123456789012'
const EVENTS = `arn:aws:events:eu-central-1:${ACCOUNT}`
const SCHEDULER = `arn:aws:scheduler:eu-central-1:${ACCOUNT}`
const NAMESPACE = 'P-test-RunJob-Connection'
const SECRETS = ['CreateSecret', 'UpdateSecret', 'PutSecretValue', 'GetSecretValue', 'DeleteSecret']

/** The statements of a local of the module that is a policy, for this input. */
function statements(name: string, input: Readonly<Record<string, unknown>> = {}): Statement[] {
  const { values, out } = evaluate('schedules-aws', { name: 'P-test', ...input }, [name])
  expect(values, out).toHaveProperty(name)
  return (JSON.parse(String(values[name])) as { readonly Statement: Statement[] }).Statement
}

function actionsOf(policy: readonly Statement[], service: string): string[] {
  const all = policy.flatMap(({ Action }) => Action).filter((action) => action.startsWith(`${service}:`))
  return [...new Set(all)].toSorted()
}

/** The operations that these sources call, as actions of the service. */
function called(service: string, ...folders: readonly string[]): string[] {
  const files = folders.flatMap((at) =>
    readdirSync(join(root, at))
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
      .map((file) => readFileSync(join(root, at, file), 'utf8')),
  )
  const names = files.flatMap((text) => [...text.matchAll(new RegExp(`${service}\\.(\\w+)Command\\(`, 'g'))])
  return [...new Set(names.map(([, operation = '']) => operation))].toSorted()
}

describe('the AWS module for schedules', () => {
  it('has no wildcard but for what cannot be limited, and no managed policies', () => {
    expect(aws).not.toMatch(/"\w+:\*"|managed_policy_arns|inline_policy|policy\/service-role/)
    const everything = [...aws.matchAll(/Action = (\[[^\]]*\]), Resource = \["\*"\]/g)].map(([, a]) => a)
    expect(everything).toEqual([
      '["events:ListRules", "events:ListRuleNamesByTarget"]',
      '["scheduler:ListSchedules"]',
    ])
    expect(aws.match(/"\*"/g)).toHaveLength(2)
    expect(aws).not.toMatch(/"(?:ec2|kinesis|kms|ssm|schemas):/)
  })

  it('gives each role its trust and its policy', () => {
    for (const name of ['target', 'scheduler']) {
      const role = block(aws, 'resource', 'aws_iam_role', name).body
      expect(argument(role, 'assume_role_policy')).toBe(`local.${name}_trust_json`)
      const policy = block(aws, 'resource', 'aws_iam_role_policy', name).body
      expect(argument(policy, 'policy')).toBe(`local.${name}_policy_json`)
      expect(argument(policy, 'role')).toMatch(new RegExp(`^aws_iam_role\\.${name}(?:\\[0\\])?\\.id$`))
    }
    const server = block(aws, 'resource', 'aws_iam_policy', 'server').body
    expect(argument(server, 'policy')).toBe('local.server_policy_json')
    const passed = [...aws.matchAll(/aws_iam_role\.(\w+)(?:\[0\])?\.arn(?:, null\))?\]/g)].map(([, r]) => r)
    expect(passed).toEqual(['target', 'scheduler'])
  })

  evaluated('lets EventBridge call the destination, for rules of this account alone', () => {
    const destination = `${EVENTS}:api-destination/P-test-RunJob-ApiDestination`
    expect(statements('target_policy_json')).toEqual([
      {
        Sid: 'Invoke',
        Effect: 'Allow',
        Action: ['events:InvokeApiDestination'],
        Resource: [destination, `${destination}/*`],
      },
    ])
    const trust = (rule: string): object => ({
      Effect: 'Allow',
      Action: ['sts:AssumeRole'],
      Principal: { Service: 'events.amazonaws.com' },
      Condition: {
        StringEquals: { 'aws:SourceAccount': ACCOUNT },
        ArnLike: { 'aws:SourceArn': [`${EVENTS}:rule/${rule}`] },
      },
    })
    expect(statements('target_trust_json')).toEqual([trust('*')])
    expect(statements('target_trust_json', { trigger: 'eventbridge-scheduler' })).toEqual([trust(NAMESPACE)])
  })

  evaluated('lets EventBridge Scheduler put our events on the bus, for one group alone', () => {
    expect(statements('scheduler_policy_json')).toEqual([
      {
        Sid: 'PutEvents',
        Effect: 'Allow',
        Action: ['events:PutEvents'],
        Resource: [`${EVENTS}:event-bus/default`],
        Condition: { StringEquals: { 'events:source': 'signalbox' } },
      },
    ])
    expect(statements('scheduler_trust_json')).toEqual([
      {
        Effect: 'Allow',
        Action: ['sts:AssumeRole'],
        Principal: { Service: 'scheduler.amazonaws.com' },
        Condition: {
          StringEquals: {
            'aws:SourceAccount': ACCOUNT,
            'aws:SourceArn': `${SCHEDULER}:schedule-group/${NAMESPACE}`,
          },
        },
      },
    ])
  })

  evaluated('lets the server make rules that carry the tag, and change no others', () => {
    const policy = statements('server_policy_json')
    const writes = policy.filter(({ Resource }) => Resource?.some((arn) => arn.includes(':rule/')))
    expect(writes.map(({ Sid, Condition }) => [Sid, Condition])).toEqual([
      ['LookAtRules', undefined],
      ['MakeRules', { StringEquals: { 'aws:RequestTag/signalbox': NAMESPACE } }],
      ['ChangeRules', { StringEquals: { 'aws:ResourceTag/signalbox': NAMESPACE } }],
    ])
    expect(writes.flatMap(({ Resource }) => Resource)).toEqual(writes.map(() => `${EVENTS}:rule/*`))
    const prefixed = statements('server_policy_json', { rule_prefix: 'P-test-' })
    expect(prefixed.find(({ Sid }) => Sid === 'ChangeRules')?.Resource).toEqual([`${EVENTS}:rule/P-test-*`])
    expect(actionsOf(policy, 'scheduler')).toEqual([])
  })

  evaluated('lets the server keep one rule, one group and its schedules, with the scheduler', () => {
    const policy = statements('server_policy_json', { trigger: 'eventbridge-scheduler' })
    const on = (sid: string): readonly string[] | undefined => policy.find(({ Sid }) => Sid === sid)?.Resource
    expect(on('BusRule')).toEqual([`${EVENTS}:rule/${NAMESPACE}`])
    expect(on('Group')).toEqual([`${SCHEDULER}:schedule-group/${NAMESPACE}`])
    expect(on('Schedules')).toEqual([`${SCHEDULER}:schedule/${NAMESPACE}/*`])
    expect(actionsOf(policy, 'events')).not.toContain('events:ListRules')
  })

  evaluated.each(['eventbridge', 'eventbridge-scheduler'])(
    'with %s passes each role to its service',
    (trigger) => {
      const policy = statements('server_policy_json', { trigger })
      const passes = policy.filter(({ Action }) => Action.includes('iam:PassRole'))
      const services = ['events.amazonaws.com', 'scheduler.amazonaws.com']
      expect(passes.map(({ Condition }) => Condition)).toEqual(
        services
          .slice(0, trigger === 'eventbridge' ? 1 : 2)
          .map((service) => ({ StringEquals: { 'iam:PassedToService': service } })),
      )
      expect(passes.every(({ Resource }) => Resource?.length === 1)).toBe(true)
      expect(policy.find(({ Sid }) => Sid === 'ConnectionSecret')).toMatchObject({
        Action: SECRETS.map((action) => `secretsmanager:${action}`),
        Resource: [`arn:aws:secretsmanager:eu-central-1:${ACCOUNT}:secret:events!connection/${NAMESPACE}/*`],
      })
      // What a policy of one's own may hold, without white space.
      expect(JSON.stringify(policy).length).toBeLessThan(6_000)
    },
  )

  evaluated('follows names that are not made from the project’s', () => {
    const input = { connection_name: 'Old', api_destination_name: 'OldDestination', namespace: 'ours' }
    const policy = statements('server_policy_json', { ...input, trigger: 'eventbridge-scheduler' })
    const resources = policy.flatMap(({ Resource }) => Resource)
    expect(resources).toContain(`${EVENTS}:connection/Old/*`)
    expect(resources).toContain(`${EVENTS}:api-destination/OldDestination/*`)
    expect(resources).toContain(`${SCHEDULER}:schedule/ours/*`)
    expect(JSON.stringify(policy)).not.toContain('P-test')
  })

  evaluated('allows what the drivers call, and nothing else', () => {
    const rules = 'src/drivers/eventbridge'
    const scheduler = 'src/drivers/eventbridge/scheduler'
    const both = ['eventbridge', 'eventbridge-scheduler'].flatMap((trigger) =>
      statements('server_policy_json', { trigger }),
    )
    const plain = (actions: readonly string[]): string[] =>
      actions.map((action) => action.split(':')[1] ?? '')
    expect(plain(actionsOf(both, 'scheduler'))).toEqual(called('api', scheduler))
    // PutRule tags what it makes, with the right to tag.
    expect(plain(actionsOf(both, 'events'))).toEqual(
      [...new Set([...called('sdk', rules, scheduler), 'TagResource'])].toSorted(),
    )
  })

  evaluated.each(['eventbridge', 'eventbridge-scheduler'] as const)(
    'allows no action that `eventbridge init` does not print, with %s',
    (trigger) => {
      const printed = eventBridgeSetup({
        trigger,
        project: 'P',
        environment: 'test',
        account: ACCOUNT,
        region: 'eu-central-1',
        targetUrl: 'https://signalbox.example.org',
        apiKey: 'key',
      })
      const { Statement: there } = printed.serverPolicy as { readonly Statement: readonly Statement[] }
      const ours = statements('server_policy_json', { trigger })
      for (const service of ['events', 'scheduler', 'secretsmanager', 'iam']) {
        const allowed = actionsOf(there, service)
        expect(actionsOf(ours, service).filter((action) => !allowed.includes(action))).toEqual([])
      }
      // The names in the settings are those that the module allows.
      const names = Object.values(printed.settings)
      expect(names).toContain(NAMESPACE)
      expect(names).toContain('P-test-RunJob-ApiDestination')
      const roles = printed.roles.map(({ name }) => name)
      expect(aws.match(/"\$\{var\.name\}-RunJob-(?:Target|Scheduler)"/g)?.slice(0, roles.length)).toEqual(
        roles.map((name) => `"${name.replace('P-test', '${var.name}')}"`),
      )
    },
  )

  evaluated.each([
    ['name', 'a name'],
    ['name', 'x'.repeat(43)],
    ['trigger', 'cron'],
    ['connection_name', 'a*'],
    ['api_destination_name', 'a/b'],
    ['namespace', ''],
    ['rule_prefix', '*'],
  ])('refuses a %s of %j', (name, value) => {
    const { code, out } = evaluate('schedules-aws', { name: 'P-test', [name]: value }, [])
    expect([code, out.includes(`"${name}"`) || out.includes(`var.${name}`)], out).toEqual([1, true])
  })
})
