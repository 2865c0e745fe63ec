/**
 * `turn run`: join, wait, run the command under its supervisor, release.
 *
 * Invariants:
 * - the command starts only while the turn is held, and its group is dead before the turn is released; if that cannot be
 *   proven, the turn is not released but left to lapse;
 * - a signal while waiting leaves the queue; while the command runs it goes to the command's group, and the turn is
 *   released when that is dead;
 * - the exit code is the command's, unless the turn was lost (75) or a failure of our own ended it (thrown).
 */
import type { CliContext, Connection, ConnectOptions } from '../../cli/context.ts'
import { printError } from '../../cli/output.ts'
import { formatDuration } from '../../kernel/duration.ts'
import { isSignalboxError, SignalboxError, toSignalboxError } from '../../kernel/error.ts'
import { openTurn, type Turn } from '../session.ts'
import { checkPlatform, type Outcome, type Supervised, type supervise } from '../../supervisor/supervise.ts'
import { exitCodeOfCommand, startFailure } from '../../supervisor/outcome.ts'
import { Reporter } from './reporter.ts'
import type { RunRequest } from './run-request.ts'
import { exitCodeOf, type EndSignal, type SignalListener } from '../../supervisor/signals.ts'

/** What touches processes. */
export interface RunParts {
  readonly supervise: typeof supervise
  readonly listen: SignalListener
}

export interface RunSetting extends RunParts {
  readonly context: CliContext
  readonly where: ConnectOptions
}

/** One press of Ctrl-C may arrive twice: from the terminal, and passed on by npx. */
const SAME_PRESS_MS = 500

/**
 * @returns the exit code
 * @throws SignalboxError what kept the command from running, or `turn_lost`
 */
export async function runWithTurn(request: RunRequest, setting: RunSetting): Promise<number> {
  checkPlatform()
  const run = new Run(request, setting)
  const giveBack = setting.listen((name) => run.take(name))
  try {
    return await run.run()
  } finally {
    giveBack()
  }
}

class Run {
  readonly #request: RunRequest
  readonly #setting: RunSetting
  readonly #reporter: Reporter
  /** Aborted by a signal while there is no command, which ends what is being waited for. */
  readonly #given = new AbortController()
  #command: Supervised | undefined
  #interruptedAt: number | undefined
  /** When the command was over, monotonic ms. */
  #endedAt: number | undefined

  constructor(request: RunRequest, setting: RunSetting) {
    this.#request = request
    this.#setting = setting
    const { clock, stderr } = setting.context
    this.#reporter = new Reporter({ queue: request.queue, mode: request.report, stderr, clock })
  }

  async run(): Promise<number> {
    let connection: Connection | undefined
    try {
      connection = await this.#setting.context.connect(this.#setting.where)
      const { describe } = connection
      this.#reporter.note(`asking ${describe}`, { event: 'connected', server: describe })
      const turn = await this.#open(connection)
      this.#reporter.granted(turn)
      return await this.#runHolding(turn)
    } catch (error) {
      const signal: unknown = isSignalboxError(error, 'cancelled') ? error.details['signal'] : undefined
      if (signal === undefined) throw error
      this.#reporter.note('left the queue', { event: 'left', signal })
      return exitCodeOf(signal as EndSignal)
    } finally {
      this.#reporter.close()
      await connection?.close()
    }
  }

  /** A signal to this process. */
  take(name: EndSignal): void {
    const now = this.#setting.context.clock.monotonic()
    if (this.#command === undefined) {
      // A second copy of the signal that ended the command does not give up the release.
      if (this.#endedAt !== undefined && now - this.#endedAt < SAME_PRESS_MS) return
      this.#given.abort(new SignalboxError('cancelled', `stopped by ${name}`, { details: { signal: name } }))
      return
    }
    const again = this.#interruptedAt !== undefined && now - this.#interruptedAt >= SAME_PRESS_MS
    if (name === 'SIGINT' && again) {
      this.#reporter.note('killing the command', { event: 'killing' })
      this.#command.kill()
      return
    }
    if (name === 'SIGINT') this.#interruptedAt ??= now
    this.#command.signal(name)
  }

  #open({ turns }: Connection): Promise<Turn> {
    const { queue, permits, priority, ttlMs, stopGraceMs, labels, waitTimeoutMs } = this.#request
    const { clock, random } = this.#setting.context
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
      signal: this.#given.signal,
      onProgress: (event) => this.#reporter.progress(event),
    })
  }

  async #runHolding(turn: Turn): Promise<number> {
    const { command, onLost, report } = this.#request
    let outcome: Outcome
    try {
      outcome = await this.#supervise(turn)
    } catch (error) {
      // Nothing was started.
      await this.#release(turn)
      throw error
    }
    // Looked at before the release: what is lost by now was lost while the command may have run.
    const lost = onLost === 'kill' && (!turn.isHeld() || turn.stopping.aborted)
    if (outcome.type === 'failed') {
      await this.#release(turn)
      const { error, exitCode } = startFailure(command, outcome.errno)
      printError(error, this.#setting.context, { json: report === 'json' })
      return exitCode
    }
    await this.#finish(turn, outcome.groupDead)
    if (lost || outcome.overdue) throw lostError(turn, outcome.groupDead)
    const exitCode = exitCodeOfCommand(outcome, command)
    this.#reporter.result({ event: 'ended', exitCode })
    return exitCode
  }

  async #supervise(turn: Turn): Promise<Outcome> {
    const { command, args, stopGraceMs, onLost } = this.#request
    const { env, clock } = this.#setting.context
    const kills = onLost === 'kill'
    const child = this.#setting.supervise({
      command,
      args,
      env: {
        ...env,
        SIGNALBOX_FENCE: String(turn.fence),
        SIGNALBOX_TURN: turn.id,
        SIGNALBOX_QUEUE: turn.queue,
      },
      marker: `SIGNALBOX_TURN=${turn.id}`,
      stopGraceMs,
      deadline: kills ? turn.limits() : undefined,
      clock,
    })
    this.#command = child
    const onStop = (): void => {
      child.stop()
      const why = toSignalboxError(turn.stopping.reason).message
      this.#reporter.note(`${withoutQueue(why, turn)}; stopping the command`, {
        event: 'stopping',
        message: why,
      })
    }
    const onLoss = (): void => {
      if (kills) child.kill()
      else this.#reporter.warn(toSignalboxError(turn.lost.reason), 'the command goes on (--on-lost warn)')
    }
    if (kills) whenAborted(turn.stopping, onStop)
    whenAborted(turn.lost, onLoss)
    if (kills) turn.onDeadline((deadline) => child.extend(deadline))
    try {
      return await child.done
    } finally {
      this.#command = undefined
      this.#endedAt = clock.monotonic()
      turn.stopping.removeEventListener('abort', onStop)
      turn.lost.removeEventListener('abort', onLoss)
    }
  }

  /** Releases what the command's group can no longer use. */
  async #finish(turn: Turn, groupDead: boolean): Promise<void> {
    if (!groupDead) {
      turn.abandon()
      const lapse = formatDuration(this.#request.ttlMs)
      this.#reporter.warn(
        new SignalboxError('internal', 'the command cannot be proven dead'),
        `the turn is not released and lapses within ${lapse}`,
      )
      return
    }
    await this.#release(turn)
  }

  /** A signal now gives up the release, which may be waiting for a server that is away; the turn lapses then. */
  async #release(turn: Turn): Promise<void> {
    try {
      await turn.release({ signal: this.#given.signal })
    } catch (error) {
      const lapse = formatDuration(this.#request.ttlMs)
      this.#reporter.warn(
        toSignalboxError(error),
        `the turn could not be released and lapses within ${lapse}`,
      )
    }
  }
}

function whenAborted(signal: AbortSignal, act: () => void): void {
  if (signal.aborted) act()
  else signal.addEventListener('abort', act, { once: true })
}

/** Lines of the reporter begin with the queue already. */
function withoutQueue(message: string, { queue }: Turn): string {
  return message.startsWith(`${queue}: `) ? message.slice(queue.length + 2) : message
}

function lostError(turn: Turn, groupDead: boolean): SignalboxError {
  const reason: unknown = turn.lost.reason ?? turn.stopping.reason
  const why = isSignalboxError(reason)
    ? reason.message
    : `${turn.queue}: the turn was lost: its deadline passed`
  const command = groupDead ? 'the command was stopped' : 'the command may still run'
  return new SignalboxError('turn_lost', `${why}; ${command}`, { cause: reason })
}
