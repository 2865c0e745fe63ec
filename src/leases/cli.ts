/**
 * `signalbox lease …`: the leases of merge queues from the command line.
 *
 * Invariants: every input is checked before the first call; results go to standard output, everything else to standard
 * error; failures are thrown and printed by the program as one line with the exit code of their error code.
 */
import { Command, Option } from 'commander'
import type { ConnectOptions, LeaseConnection, LeaseContext } from '../cli/context.ts'
import type { RunParts } from '../cli/held-command.ts'
import { processSignals } from '../supervisor/signals.ts'
import { supervise } from '../supervisor/supervise.ts'
import { acquire, release } from './cli/ask.ts'
import { clear, type ClearFlags } from './cli/clear.ts'
import {
  providerArgument,
  runRequest,
  type AcquireFlags,
  type ReleaseFlags,
  type RunFlags,
} from './cli/request.ts'
import { runWithLease } from './cli/run.ts'
import { historyIn, historyOf, simulated, simulationRequest, type SimulateFlags } from './cli/simulate.ts'
import { listText, providerJson, showText } from './cli/views.ts'

type Where = Pick<ConnectOptions, 'url' | 'dataDir'>

interface ViewFlags extends Where {
  readonly json?: true
}

/**
 * The commands under `signalbox lease`.
 * @param parts what starts commands and listens to signals; tests hand in their own
 */
export function leaseCommands(
  context: LeaseContext,
  parts: RunParts = { supervise, listen: processSignals },
): Command {
  const lease = new Command('lease').description(
    'Take the lease of a merge queue: only the group that contains the others works',
  )
  runCommand(lease, context, parts)
  acquireCommand(lease, context, parts)
  releaseCommand(lease, context, parts)
  viewCommands(lease, context)
  clearCommand(lease, context)
  simulateCommand(lease, context)
  return lease
}

function runCommand(lease: Command, context: LeaseContext, parts: RunParts): void {
  const command = lease
    .command('run')
    .description('Wait for the lease, run a command while holding it, tell how it ended')
    .argument('[provider]', PROVIDER)
    .argument('[command...]', 'the command and its arguments, after --')
  groupOptions(command)
  waitOptions(command)
    .option(
      '--lease <duration>',
      'renew while the command runs, and count the lease as lost without (default: it lasts as long as the server lets it)',
    )
    .option(
      '--stop-grace <duration>',
      'time between SIGTERM and SIGKILL when the lease is lost (default: 5s)',
    )
    .option(
      '--on-lost <action>',
      'what becomes of the command if the lease is lost: kill or warn (default: kill)',
    )
    .option('--json', 'report as lines of JSON on standard error')
  whereOptions(command).addHelpText('after', RUN_HELP)
  command.action(async (provider: string | undefined, words: string[], flags: RunFlags) => {
    const all = provider === undefined ? words : [provider, ...words]
    const request = runRequest(all, flags, context.env)
    context.setExitCode(await runWithLease(request, { ...parts, context, where: flags }))
  })
}

function acquireCommand(lease: Command, context: LeaseContext, parts: RunParts): void {
  const command = lease
    .command('acquire')
    .description('Wait for the lease and print acquired or completed')
    .argument('[provider]', PROVIDER)
  groupOptions(command)
  waitOptions(command)
    .option('--no-wait', 'ask once; pending, and refused while a batch is being settled, are exit code 75')
    .option('--lease <duration>', 'the lease ends after this long unless it is asked for again')
    .option('--json', 'print the whole answer as JSON; report as lines of JSON')
  whereOptions(command).addHelpText('after', ACQUIRE_HELP)
  command.action(async (provider: string | undefined, flags: AcquireFlags) => {
    context.setExitCode(await acquire(provider, flags, { context, listen: parts.listen }))
  })
}

function releaseCommand(lease: Command, context: LeaseContext, parts: RunParts): void {
  const command = lease
    .command('release')
    .description('Tell how the work ended, or withdraw a request that waits')
    .argument('[provider]', PROVIDER)
  groupOptions(command)
    .option(
      '--status <status>',
      'success, failure, cancelled, timed_out or skipped; all but the first count as failure',
    )
    .option('--json', 'print the whole answer as JSON')
  whereOptions(command).action(async (provider: string | undefined, flags: ReleaseFlags) => {
    context.setExitCode(await release(provider, flags, { context, listen: parts.listen }))
  })
}

function viewCommands(lease: Command, context: LeaseContext): void {
  whereOptions(
    lease.command('list').description('List the lease providers').option('--json', 'print JSON'),
  ).action(async (flags: ViewFlags) => {
    const providers = await connected(context, flags, ({ leases }) => leases.list())
    const json = (): string => `${JSON.stringify({ providers: providers.map(providerJson) })}\n`
    context.stdout.write(flags.json === true ? json() : listText(providers))
  })

  whereOptions(
    lease
      .command('show')
      .description('Show the requests of a provider, the highest first, and what they wait for')
      .argument('[provider]', PROVIDER)
      .option('--json', 'print JSON'),
  ).action(async (text: string | undefined, flags: ViewFlags) => {
    const provider = providerArgument(text, context.env)
    const report = await connected(context, flags, ({ leases }) => leases.show(provider))
    const json = (): string => `${JSON.stringify(providerJson(report))}\n`
    context.stdout.write(flags.json === true ? json() : showText(report, context.clock.now()))
  })
}

function clearCommand(lease: Command, context: LeaseContext): void {
  whereOptions(
    lease
      .command('clear')
      .description('Forget the holder and all requests of a provider; the holder’s work is not stopped')
      .argument('<provider>', PROVIDER)
      .option('--reason <text>', 'why; stands in the audit log')
      .option('--json', 'print JSON'),
  ).action(async (text: string, flags: ClearFlags) => {
    const clearing = clear(text, flags, context.env)
    context.stdout.write(await connected(context, flags, ({ leases }) => clearing(leases)))
  })
}

function simulateCommand(lease: Command, context: LeaseContext): void {
  whereOptions(
    lease
      .command('simulate')
      .description('Say what would have happened to the recorded requests under another configuration')
      .argument('[provider]', PROVIDER)
      .option('--from <file>', 'a saved history instead of the server’s')
      .option(
        '--since <duration>',
        'only requests of this time, for example 7d (default: all, 30 days are kept)',
      )
      .option('--stabilize <duration>', 'the window without a new request')
      .option('--expected <number>', 'so many known requests do not wait for the window')
      .option('--ttl <duration>', 'a request silent for longer is forgotten')
      .option('--delay <number>', 'calls of the highest that are answered pending first')
      .option('--max-lease <duration>', 'a holder that has not released by then is taken for dead')
      .option('--cool-down <duration>', 'how long nobody is granted after that')
      .option('--poll <duration>', 'how often a waiting job asks (default: as the server tells it to)')
      .option('--json', 'print JSON, with every request'),
  ).action(async (text: string | undefined, flags: SimulateFlags) => {
    const request = simulationRequest(providerArgument(text, context.env), flags)
    const now = context.clock.now()
    const requests =
      request.from === undefined
        ? await connected(context, flags, ({ leases }) => historyOf(leases.history, request, now))
        : await historyIn(request.from, request.sinceMs, now)
    context.stdout.write(simulated(requests, request))
  })
}

const PROVIDER = 'OWNER/REPO@BASE; in a workflow run for a merge group, its own'

function groupOptions(command: Command): Command {
  return command
    .option('--head-sha <commit>', 'the head of the merge group (in a run for a merge group: GITHUB_SHA)')
    .option('--head-ref <ref>', 'its branch, gh-readonly-queue/… (in a run for a merge group: GITHUB_REF)')
    .option('--priority <number>', 'how many commits it is ahead of its base; the highest works')
}

function waitOptions(command: Command): Command {
  return command
    .option('--wait-timeout <duration>', 'give up waiting after this long (default: never)')
    .option('--quiet', 'report nothing but failures')
}

function whereOptions(command: Command): Command {
  const group = 'Where the lease is taken:'
  return command
    .addOption(new Option('--url <url>', 'the server (default: SIGNALBOX_URL)').helpGroup(group))
    .addOption(
      new Option(
        '--data-dir <directory>',
        'the server that owns this directory (default: SIGNALBOX_DATA_DIR, ./data)',
      ).helpGroup(group),
    )
}

const RUN_HELP = `
The command gets SIGNALBOX_LEASE, SIGNALBOX_LEASE_STATUS, SIGNALBOX_LEASE_STACKED (pull requests) and SIGNALBOX_FENCE in its
environment. It runs in a process group of its own; the lease is released when the whole group has ended, as success
if the command ended with 0, else as failure.

When a higher group, which contains this one, has succeeded (completed), the command is not run and the exit code is 0.

Exit code: the command's own; 0 completed; 75 the lease was lost; 124 it did not come within --wait-timeout; 126, 127 the
command could not be started; 129, 130, 143 stopped by SIGHUP, Ctrl-C or SIGTERM while waiting; 64 to 78 see docs/errors.md.

Example: signalbox lease run acme/shop@main --head-sha 3f2a91c --priority 3 --lease 5m -- make test
`

const ACQUIRE_HELP = `
Prints acquired: do the work, then call lease release. Or completed: there is nothing to do, and nothing to release.
`

async function connected<T>(
  context: LeaseContext,
  where: Where,
  use: (connection: LeaseConnection) => Promise<T>,
): Promise<T> {
  const connection = await context.connect(where)
  try {
    return await use(connection)
  } finally {
    await connection.close()
  }
}
