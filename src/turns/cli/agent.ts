/**
 * `signalbox turn agent …`: a turn held by a background process, for callers that cannot put their work under `turn run`, such
 * as the steps of a CI job. What they share lies in state files (`../agent/state-files.ts`).
 *
 * Invariant: gRPC and the client are loaded by the agent's process alone.
 */
import { Command, Option } from 'commander'
import type { CliContext } from '../../cli/context.ts'
import type { StartFlags } from './agent/request.ts'
import type { StopFlags } from './agent/stop.ts'
import type { WaitFlags } from './agent/wait.ts'
import { whereOptions } from './where.ts'

/** The commands under `signalbox turn agent`. */
export function agentCommand(context: CliContext): Command {
  const agent = new Command('agent').description('Hold a turn from the background, across the steps of a job')
  startCommand(agent, context)
  whichAgent(agent.command('wait').description('Wait until the agent holds its turn'))
    .option('--timeout <duration>', 'give up waiting after this long; the agent waits on (default: never)')
    .addHelpText('after', WAIT_HELP)
    .action(async (flags: WaitFlags) => (await import('./agent/wait.ts')).waitForAgent(flags, context))
  whichAgent(agent.command('stop').description('Leave the queue; returns when the place is gone')).action(
    async (flags: StopFlags) => (await import('./agent/stop.ts')).stopAgent(flags, context),
  )
  agent
    .command('status')
    .description('List the agents of this machine')
    .option('--json', 'print JSON')
    .action(async (flags: { json?: true }) => (await import('./agent/status.ts')).showAgents(flags, context))
  agent
    .command('serve', { hidden: true })
    .action(async () => (await import('./agent/serve.ts')).serveAgent(context))
  return agent
}

function startCommand(agent: Command, context: CliContext): void {
  whereOptions(agent.command('start'))
    .description('Join a queue and hold the place in the background')
    .argument('<queue>', 'name of the queue; it is made when first used')
    .option(
      '--permits <number>',
      'how many may hold at once; fixed when the queue is first used (default: 1)',
    )
    .option('--priority <level>', 'low, normal, high, urgent or 0 to 99; higher goes first (default: normal)')
    .option('--ttl <duration>', 'hold TTL: how long the agent may be silent (default: 45s)')
    .addOption(new Option('--lease <duration>', 'the same as --ttl'))
    .option('--stop-grace <duration>', 'how long before its deadline the turn is about to end (default: 5s)')
    .option('--label <key=value>', 'shown to others; may be given again', collect, [])
    .option('--port <number>', 'serve gRPC on this port of 127.0.0.1 (default: 50051 if free, else any)')
    .option('--max-hold <duration>', 'give the turn back after holding it for this long (default: 6h)')
    .option(
      '--on-lost <action>',
      'if the turn is lost: warn, or cancel-run on GitHub Actions (default: warn)',
    )
    .option('--name <name>', 'the id of the agent, for --id (default: random)')
    .option('--watch-pid <pid>', 'end with this process (default: the runner’s worker on GitHub Actions)')
    .option('--json', 'print JSON')
    .addHelpText('after', START_HELP)
    .action(async (queue: string, flags: StartFlags) =>
      (await import('./agent/start.ts')).startAgent(queue, flags, context),
    )
}

const START_HELP = `
Nobody can stop the steps of a job from outside when the turn is lost: where you can, use 'signalbox turn run', which kills its
command in time.

Example: signalbox turn agent start deploy && signalbox turn agent wait && make deploy; signalbox turn agent stop
`

const WAIT_HELP = `
Exit code: 0 the turn is held; 75 it was lost; 124 it did not come within --timeout; 66 there is no such agent.
`

function whichAgent(command: Command): Command {
  return command
    .option('--queue <queue>', 'the agent of this queue (default: the only one)')
    .option('--id <id>', 'the agent with this id')
    .option('--json', 'print JSON')
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value]
}
