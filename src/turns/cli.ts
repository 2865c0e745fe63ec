/**
 * `signalbox turn …`: the turns of a queue from the command line.
 *
 * Invariants: every input is checked before the first call; results go to standard output, everything else to standard
 * error; failures are thrown and printed by the program as one line with the exit code of their error code.
 */
import { Command, Option } from 'commander'
import { wholeNumber } from '../cli/inputs.ts'
import type { CliContext, Connection, ConnectOptions } from '../cli/context.ts'
import type { RunParts } from '../cli/held-command.ts'
import { agentCommand } from './cli/agent.ts'
import { showQueue, listQueues } from './cli/list.ts'
import { actorName, defaultLabels } from './cli/labels.ts'
import { operatorCommands } from './cli/operate.ts'
import type { DoctorFlags } from './cli/doctor.ts'
import { queueArgument, runRequest, type RunFlags } from './cli/run-request.ts'
import { runWithTurn } from './cli/run.ts'
import { processSignals } from '../supervisor/signals.ts'
import { whereOptions } from './cli/where.ts'
import { supervise } from '../supervisor/supervise.ts'

interface ViewFlags extends ConnectOptions {
  readonly limit?: string
  readonly json?: true
}

/**
 * The commands under `signalbox turn`.
 * @param parts what starts commands and listens to signals; tests hand in their own
 */
export function turnCommands(
  context: CliContext,
  parts: RunParts = { supervise, listen: processSignals },
): Command {
  const turn = new Command('turn').description('Take turns: run a command when its turn in a queue has come')
  runCommand(turn, context, parts)

  viewCommand(turn.command('list').description('List the turn queues'))
    .option('--limit <number>', 'at most so many queues (default: all)')
    .action(async (flags: ViewFlags) => {
      const limit =
        flags.limit === undefined
          ? undefined
          : wholeNumber(flags.limit, { flag: '--limit', min: 1, max: 1_000_000 })
      await connected(context, flags, async ({ turns }) => {
        context.stdout.write(await listQueues(turns, { limit, json: flags.json === true }))
      })
    })

  viewCommand(turn.command('show').description('Show who holds a queue and who waits').argument('<queue>'))
    .option('--limit <number>', 'at most so many waiters (default: 100)')
    .action(async (name: string, flags: ViewFlags) => {
      const queue = queueArgument(name)
      const limit =
        flags.limit === undefined ? 100 : wholeNumber(flags.limit, { flag: '--limit', min: 1, max: 1_000 })
      await connected(context, flags, async ({ turns }) => {
        const options = { limit, json: flags.json === true, now: context.clock.now() }
        context.stdout.write(await showQueue(turns, queue, options))
      })
    })
  operatorCommands(
    (name) => viewCommand(turn.command(name)),
    (flags, use) =>
      connected(context, flags, async ({ turns }) => void context.stdout.write(await use(turns))),
    actorName(context.env),
  )
  turn.addCommand(agentCommand(context))
  doctorCommand(turn, context, parts)
  return turn
}

function runCommand(turn: Command, context: CliContext, parts: RunParts): void {
  const command = turn
    .command('run')
    .description('Wait for the turn, run a command while holding it, release')
    .argument('<queue>', 'name of the queue; it is made when first used')
    .argument('[command...]', 'the command and its arguments, after --')
    .option(
      '--permits <number>',
      'how many may hold at once; fixed when the queue is first used (default: 1)',
    )
    .option('--priority <level>', 'low, normal, high, urgent or 0 to 99; higher goes first (default: normal)')
    .option('--ttl <duration>', 'hold TTL: how long a holder may be silent (default: 45s)')
    .addOption(new Option('--lease <duration>', 'the same as --ttl'))
    .option(
      '--stop-grace <duration>',
      'time between SIGTERM and SIGKILL when the turn ends early (default: 5s)',
    )
    .option('--wait-timeout <duration>', 'give up waiting after this long (default: never)')
    .option(
      '--on-lost <action>',
      'what becomes of the command if the turn is lost: kill or warn (default: kill)',
    )
    .option('--label <key=value>', 'shown to others; may be given again', collect, [])
    .option('--json', 'report as lines of JSON on standard error')
    .option('--quiet', 'report nothing but failures')
  whereOptions(command).addHelpText('after', RUN_HELP)
  command.action(async (queue: string, words: string[], flags: RunFlags & ConnectOptions) => {
    const request = runRequest(queue, words, flags, defaultLabels(context.env))
    context.setExitCode(await runWithTurn(request, { ...parts, context, where: flags }))
  })
}

const RUN_HELP = `
The command gets SIGNALBOX_FENCE, SIGNALBOX_TURN and SIGNALBOX_QUEUE in its environment. It runs in a process group of its own;
the turn is released when the whole group has ended.

Exit code: the command's own; 75 the turn was lost; 124 it did not come within --wait-timeout; 126, 127 the command could
not be started; 129, 130, 143 stopped by SIGHUP, Ctrl-C or SIGTERM while waiting; 64 to 78 see docs/errors.md.

Example: signalbox turn run deploy --wait-timeout 30m -- make deploy
`

function viewCommand(command: Command): Command {
  return whereOptions(command.option('--json', 'print JSON'))
}

function doctorCommand(turn: Command, context: CliContext, { listen }: RunParts): void {
  viewCommand(turn.command('doctor').description('Check that turns can be taken here, step by step'))
    .option('--queue <queue>', 'look at this queue too: jobs of the dynamo-q tool, the scope of the token')
    .addHelpText('after', DOCTOR_HELP)
    .action(async (flags: DoctorFlags) => {
      const { doctor } = await import('./cli/doctor.ts')
      context.setExitCode(await doctor(flags, { ...context, listen }))
    })
}

const DOCTOR_HELP = `
What it writes to an engine is a partition of its own, which it deletes again.

Exit code: 0 nothing failed (there may be warnings); else that of the first failure, see docs/errors.md.
`

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value]
}

async function connected(
  context: CliContext,
  where: ConnectOptions,
  use: (connection: Connection) => Promise<void>,
): Promise<void> {
  const connection = await context.connect(where)
  try {
    await use(connection)
  } finally {
    await connection.close()
  }
}
