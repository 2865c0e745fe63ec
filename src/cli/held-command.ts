/**
 * Runs a command under its supervisor while something is held, a turn or a lease, and gives that back.
 *
 * Invariants:
 * - the command's group is dead before what is held is given back; if that cannot be proven, it is not given back but
 *   left to lapse;
 * - a signal without a command ends what is being waited for; while the command runs it goes to the command's group, and
 *   the hold is given back when that is dead;
 * - a command that was told to end by a signal has not succeeded, whatever its exit code;
 * - the exit code is the command's, unless the hold was lost (75) or a failure of our own ended it (thrown).
 */
import type { Clock } from '../kernel/clock.ts'
import type { Deadline } from '../kernel/deadline.ts'
import { isSignalboxError, SignalboxError, toSignalboxError, type ErrorCode } from '../kernel/error.ts'
import { exitCodeOfCommand, startFailure } from '../supervisor/outcome.ts'
import { exitCodeOf, type EndSignal, type SignalListener } from '../supervisor/signals.ts'
import type { Outcome, Supervised, supervise } from '../supervisor/supervise.ts'
import type { CliContext } from './context.ts'
import type { Lines, ReportMode } from './lines.ts'
import { printError } from './output.ts'

/** What touches processes. */
export interface RunParts {
  readonly supervise: typeof supervise
  readonly listen: SignalListener
}

/** What is held while the command runs. */
export interface Held {
  /** When the work must be over; undefined: there is no deadline. */
  limits(): Deadline | undefined
  readonly stopping: AbortSignal
  readonly lost: AbortSignal
  isHeld(): boolean
  onDeadline(listener: (deadline: Deadline) => void): () => void
  /**
   * @param succeeded did the command end with 0, by itself and in time?
   * @returns the loss, when whoever granted the hold does not take the success, for it was not held to the end
   */
  giveBack(succeeded: boolean, signal: AbortSignal): Promise<SignalboxError | undefined>
  abandon(): void
}

export interface HeldCommandOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly stopGraceMs: number
  readonly onLost: 'kill' | 'warn'
  readonly report: ReportMode
  readonly lines: Lines
  readonly context: Pick<CliContext, 'env' | 'stderr'> & { readonly clock: Clock }
  readonly supervise: typeof supervise
  /** How messages speak of what is held. */
  readonly words: {
    readonly thing: 'turn' | 'lease'
    readonly name: string
    /** What happens to one that is not given back: `lapses within 45s`. */
    readonly lapse: string
    readonly lost: ErrorCode
  }
}

/** One press of Ctrl-C may arrive twice: from the terminal, and passed on by npx. */
const SAME_PRESS_MS = 500

export class HeldCommand {
  readonly #options: HeldCommandOptions
  /** Aborted by a signal while there is no command, which ends what is being waited for. */
  readonly #given = new AbortController()
  #command: Supervised | undefined
  #interruptedAt: number | undefined
  /** Was a signal passed on to the command? */
  #signalled = false
  /** When the command was over, monotonic ms. */
  #endedAt: number | undefined

  constructor(options: HeldCommandOptions) {
    this.#options = options
  }

  /** Aborts, with a `cancelled` that names the signal, when a signal comes while there is no command. */
  get given(): AbortSignal {
    return this.#given.signal
  }

  /** A signal to this process. */
  take(name: EndSignal): void {
    const now = this.#options.context.clock.monotonic()
    if (this.#command === undefined) {
      // A second copy of the signal that ended the command does not give up the release.
      if (this.#endedAt !== undefined && now - this.#endedAt < SAME_PRESS_MS) return
      this.#given.abort(new SignalboxError('cancelled', `stopped by ${name}`, { details: { signal: name } }))
      return
    }
    const again = this.#interruptedAt !== undefined && now - this.#interruptedAt >= SAME_PRESS_MS
    if (name === 'SIGINT' && again) {
      this.#options.lines.note('killing the command', { event: 'killing' })
      this.#command.kill()
      return
    }
    if (name === 'SIGINT') this.#interruptedAt ??= now
    this.#signalled = true
    this.#command.signal(name)
  }

  /**
   * @param env what the command gets beside this process's environment
   * @param marker an entry of it that no other process has
   * @returns the exit code
   * @throws SignalboxError when the hold was lost, or the supervisor failed
   */
  async run(held: Held, env: Readonly<Record<string, string>>, marker: string): Promise<number> {
    const { command, onLost, report, lines, context } = this.#options
    let outcome: Outcome
    try {
      outcome = await this.#supervise(held, env, marker)
    } catch (error) {
      // Nothing was started.
      await this.#giveBack(held, false)
      throw error
    }
    // Looked at before the release: what is lost by now was lost while the command may have run.
    const isHeld = held.isHeld()
    const lost = onLost === 'kill' && (!isHeld || held.stopping.aborted)
    if (outcome.type === 'failed') {
      await this.#giveBack(held, false)
      const { error, exitCode } = startFailure(command, outcome.errno)
      printError(error, context, { json: report === 'json' })
      return exitCode
    }
    const failed = lost || outcome.overdue
    const succeeded = !failed && isHeld && outcome.code === 0 && !this.#signalled
    if (outcome.groupDead) await this.#giveBack(held, succeeded)
    else this.#abandon(held)
    if (failed) throw this.#lostError(held, outcome.groupDead)
    const exitCode = exitCodeOfCommand(outcome, command)
    lines.result({ event: 'ended', exitCode })
    return exitCode
  }

  async #supervise(held: Held, env: Readonly<Record<string, string>>, marker: string): Promise<Outcome> {
    const { command, args, stopGraceMs, onLost, lines, context } = this.#options
    const kills = onLost === 'kill'
    const child = this.#options.supervise({
      command,
      args,
      env: { ...context.env, ...env },
      marker,
      stopGraceMs,
      deadline: kills ? held.limits() : undefined,
      clock: context.clock,
    })
    this.#command = child
    const onStop = (): void => {
      child.stop()
      const why = toSignalboxError(held.stopping.reason).message
      lines.note(`${lines.withoutName(why)}; stopping the command`, { event: 'stopping', message: why })
    }
    const onLoss = (): void => {
      if (kills) child.kill()
      else lines.warn(toSignalboxError(held.lost.reason), 'the command goes on (--on-lost warn)')
    }
    if (kills) whenAborted(held.stopping, onStop)
    whenAborted(held.lost, onLoss)
    if (kills) held.onDeadline((deadline) => child.extend(deadline))
    try {
      return await child.done
    } finally {
      this.#command = undefined
      this.#endedAt = context.clock.monotonic()
      held.stopping.removeEventListener('abort', onStop)
      held.lost.removeEventListener('abort', onLoss)
    }
  }

  /**
   * A signal now gives it up, which may be waiting for a server that is away.
   * @throws SignalboxError when it turns out that the hold was lost while the command ran
   */
  async #giveBack(held: Held, succeeded: boolean): Promise<void> {
    const { lines, words, onLost } = this.#options
    let loss: SignalboxError | undefined
    try {
      loss = await held.giveBack(succeeded, this.given)
    } catch (error) {
      lines.warn(toSignalboxError(error), `the ${words.thing} could not be released and ${words.lapse}`)
    }
    if (loss === undefined) return
    if (onLost === 'kill') throw loss
    lines.warn(loss, 'the exit code stays the command’s (--on-lost warn)')
  }

  #abandon(held: Held): void {
    const { lines, words } = this.#options
    held.abandon()
    lines.warn(
      new SignalboxError('internal', 'the command cannot be proven dead'),
      `the ${words.thing} is not released and ${words.lapse}`,
    )
  }

  #lostError({ lost, stopping }: Held, groupDead: boolean): SignalboxError {
    const { words } = this.#options
    const reason: unknown = lost.reason ?? stopping.reason
    const why = isSignalboxError(reason)
      ? reason.message
      : `${words.name}: the ${words.thing} was lost: its deadline passed`
    const command = groupDead ? 'the command was stopped' : 'the command may still run'
    return new SignalboxError(words.lost, `${why}; ${command}`, { cause: reason })
  }
}

/** The exit code of a process whose waiting a signal ended; undefined when it was something else. */
export function exitCodeOfSignal(
  error: unknown,
): { readonly signal: EndSignal; readonly exitCode: number } | undefined {
  const signal: unknown = isSignalboxError(error, 'cancelled') ? error.details['signal'] : undefined
  return signal === undefined
    ? undefined
    : { signal: signal as EndSignal, exitCode: exitCodeOf(signal as EndSignal) }
}

function whenAborted(signal: AbortSignal, act: () => void): void {
  if (signal.aborted) act()
  else signal.addEventListener('abort', act, { once: true })
}
