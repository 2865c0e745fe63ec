/** `schedule eventbridge init`, `status`, `reconcile` and `remove`: Amazon EventBridge as what fires schedules. */
import { randomBytes } from 'node:crypto'
import type { Command } from 'commander'
import { invalidInput } from '../../cli/inputs.ts'
import { table } from '../../cli/output.ts'
import type { SchedulesContext } from '../../cli/schedules-context.ts'
import { printable } from '../../cli/text.ts'
import type { TriggerStatus } from '../api.ts'
import { eventBridgeSetup, type Setup } from '../eventbridge-setup.ts'
import { act, BY, json, whereOptions, type Flags } from './command.ts'

interface InitFlags {
  readonly environment: string
  readonly account?: string
  readonly region: string
  readonly url: string
  readonly scheduler?: true
  readonly json?: true
}

const KEY_BYTES = 32
/** `<project>-<environment>-RunJob-ApiDestination` is 64 characters at most. */
const MAX_NAME = 64 - '-RunJob-ApiDestination'.length
const SECRET = 'AwsEventBridgeSettings__APIKey'

export function eventBridgeCommands(schedule: Command, context: SchedulesContext): void {
  const group = schedule.command('eventbridge').description('Let Amazon EventBridge fire schedules')
  group
    .command('init <project>')
    .description('Make a key, and print what to set at the server and in AWS; changes nothing')
    .requiredOption('--environment <name>', 'such as test or production')
    .requiredOption('--url <url>', 'where EventBridge reaches the server: https://…, a proxy or a tunnel')
    .requiredOption('--region <region>', 'such as eu-west-1')
    .option('--account <number>', 'the AWS account (default: 123456789012, to be replaced)')
    .option('--scheduler', 'for EventBridge Scheduler instead of rules: it knows time zones and at()')
    .option('--json', 'print JSON')
    .action((project: string, flags: InitFlags) => {
      const made = setupOf(project, flags)
      context.stdout.write(flags.json === true ? json(made) : setupText(made))
    })
  whereOptions(
    group.command('status'),
    'Show how EventBridge keeps the schedules, by the last comparison',
  ).action((flags: Flags) =>
    act(context, flags, async ({ trigger }) => {
      const status = await trigger.status()
      return flags.json === true ? json(status) : statusText(status)
    }),
  )
  whereOptions(group.command('reconcile'), 'Compare everything at EventBridge now, and repair it')
    .option('--dry-run', 'only look')
    .option('--adopt', 'take over what has a name that is needed, and is not marked as ours')
    .action((flags: Flags & { readonly dryRun?: true; readonly adopt?: true }) =>
      act(context, flags, async ({ trigger }) => {
        const request = { dryRun: flags.dryRun === true, adopt: flags.adopt === true }
        const view = await trigger.reconcile(request, { by: BY })
        if (view.drift.some(({ repaired }) => !repaired) && flags.dryRun !== true) context.setExitCode(1)
        return flags.json === true ? json(view) : driftText(view.drift, 'Everything is as it should be.\n')
      }),
    )
  whereOptions(group.command('remove'), 'Remove everything of ours at EventBridge')
    .option('--yes', 'do it')
    .action((flags: Flags & { readonly yes?: true }) => {
      if (flags.yes !== true) {
        throw invalidInput('--yes', 'removes the rules, the API destination and the connection; add --yes')
      }
      return act(context, flags, async ({ trigger }) => {
        const view = await trigger.remove({ by: BY })
        if (flags.json === true) return json(view)
        return view.removed.length === 0
          ? 'There was nothing.\n'
          : view.removed.map((name) => `removed ${name}\n`).join('')
      })
    })
}

function setupOf(project: string, flags: InitFlags): Setup {
  const { environment, account = '123456789012', region, url: targetUrl } = flags
  const name = `${project}-${environment}`
  if (!/^[A-Za-z0-9._-]+$/.test(name) || name.length > MAX_NAME) {
    throw invalidInput(
      'project',
      `'${name}': project and environment are ${MAX_NAME} characters of A-Z a-z 0-9 . _ - at most`,
    )
  }
  if (!/^\d{12}$/.test(account)) throw invalidInput('--account', `--account: '${account}' is not 12 digits`)
  if (!/^[a-z0-9-]{1,64}$/.test(region))
    throw invalidInput('--region', `--region: '${region}' is not a region`)
  if (URL.parse(targetUrl)?.protocol !== 'https:') {
    throw invalidInput('--url', `--url: '${targetUrl}' is not an https address; EventBridge calls no others`)
  }
  const apiKey = randomBytes(KEY_BYTES).toString('base64url')
  const trigger = flags.scheduler === true ? 'eventbridge-scheduler' : 'eventbridge'
  return eventBridgeSetup({ trigger, project, environment, account, region, targetUrl, apiKey })
}

function setupText({ settings, roles, serverPolicy }: Setup): string {
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}`)
  const document = (value: object): string => `${JSON.stringify(value, null, 2)}\n`
  const parts = roles.map(
    ({ name, trust, policy }) =>
      `\n# Role ${name}: who may act as it\n${document(trust)}\n# Role ${name}: what it may do\n${document(policy)}`,
  )
  return `# Settings of the server: in GitLab or GitHub one variable each, ${SECRET} a masked one or a secret.
${lines.join('\n')}
${parts.join('')}
# Policy of the user or role that the server runs as
${document(serverPolicy)}`
}

function statusText({ kind, facts, checkedAt, error, removed, drift, schedules }: TriggerStatus): string {
  const counts = Object.entries(schedules).flatMap(([state, n]) =>
    n === 0 ? [] : [`${n} ${state.replace('_', ' ')}`],
  )
  const rows: [string, string | undefined][] = [
    ['trigger', kind],
    ...Object.entries(facts),
    ['schedules', counts.length === 0 ? 'none' : counts.join(', ')],
    ['compared', checkedAt ?? 'not yet'],
    ['problem', error],
    [
      'removed',
      removed === undefined
        ? undefined
        : `by ${removed.by} at ${removed.at}; 'signalbox schedule eventbridge reconcile' sets it up again`,
    ],
  ]
  const shown = rows.flatMap(([name, value]) =>
    value === undefined ? [] : [[`  ${name}`, printable(value)]],
  )
  return `EventBridge\n${table(shown)}${driftText(drift, '')}`
}

function driftText(drift: TriggerStatus['drift'], none: string): string {
  if (drift.length === 0) return none
  const rows = drift.map(({ object, name, problem, repaired, detail, error }) => [
    `${object.replace('_', ' ')} ${name}`,
    repaired ? 'repaired' : problem.replace('_', ' '),
    printable(error === undefined ? detail : `${detail}: ${error}`),
  ])
  return table([['OBJECT', 'STATE', 'WHAT'], ...rows])
}
