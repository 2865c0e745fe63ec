/**
 * `turn run`: join, wait, run the command under its supervisor, release. What happens while the command runs is in
 * `cli/held-command.ts`.
 *
 * Invariants: the command starts only while the turn is held; a signal while waiting leaves the queue.
 */
import type { CliContext, Connection, ConnectOptions } from '../../cli/context.ts'
import { exitCodeOfSignal, HeldCommand, type Held, type RunParts } from '../../cli/held-command.ts'
import { formatDuration } from '../../kernel/duration.ts'
import { checkPlatform } from '../../supervisor/supervise.ts'
import { openTurn, type Turn } from '../session.ts'
import { Reporter } from './reporter.ts'
import type { RunRequest } from './run-request.ts'

export interface RunSetting extends RunParts {
  readonly context: CliContext
  readonly where: ConnectOptions
}

/**
 * @returns the exit code
 * @throws SignalboxError what kept the command from running, or `turn_lost`
 */
export async function runWithTurn(request: RunRequest, setting: RunSetting): Promise<number> {
  checkPlatform()
  const { queue, report, ttlMs } = request
  const { context } = setting
  const { stderr, clock } = context
  const reporter = new Reporter({ queue, mode: report, stderr, clock })
  const command = new HeldCommand({
    ...request,
    lines: reporter.lines,
    context,
    supervise: setting.supervise,
    words: {
      thing: 'turn',
      name: queue,
      lapse: `lapses within ${formatDuration(ttlMs)}`,
      lost: 'turn_lost',
    },
  })
  const giveBack = setting.listen((name) => command.take(name))
  try {
    return await joinAndRun(request, setting, { reporter, command })
  } finally {
    giveBack()
  }
}

async function joinAndRun(
  request: RunRequest,
  { context, where }: RunSetting,
  { reporter, command }: { readonly reporter: Reporter; readonly command: HeldCommand },
): Promise<number> {
  let connection: Connection | undefined
  try {
    connection = await context.connect(where)
    const { describe } = connection
    reporter.note(`asking ${describe}`, { event: 'connected', server: describe })
    const turn = await open(request, connection, { context, reporter, signal: command.given })
    reporter.granted(turn)
    const env = {
      SIGNALBOX_FENCE: String(turn.fence),
      SIGNALBOX_TURN: turn.id,
      SIGNALBOX_QUEUE: turn.queue,
    }
    return await command.run(held(turn), env, `SIGNALBOX_TURN=${turn.id}`)
  } catch (error) {
    const ended = exitCodeOfSignal(error)
    if (ended === undefined) throw error
    reporter.note('left the queue', { event: 'left', signal: ended.signal })
    return ended.exitCode
  } finally {
    reporter.close()
    await connection?.close()
  }
}

function open(
  { queue, permits, priority, ttlMs, stopGraceMs, labels, waitTimeoutMs }: RunRequest,
  { turns }: Connection,
  {
    context,
    reporter,
    signal,
  }: { readonly context: CliContext; readonly reporter: Reporter; readonly signal: AbortSignal },
): Promise<Turn> {
  const { clock, random } = context
  return openTurn({
    api: turns,
    clock,
    random,
    queue,
    permits,
    priority,
    ttlMs,
    stopGraceMs,
    labels,
    waitTimeoutMs,
    signal,
    onProgress: (event) => reporter.progress(event),
  })
}

function held(turn: Turn): Held {
  return {
    ...turn,
    async giveBack(_succeeded, signal) {
      await turn.release({ signal })
      return undefined
    },
  }
}
