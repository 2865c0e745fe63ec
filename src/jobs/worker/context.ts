/**
 * What a job sees of its attempt. Its parts are made when they are first asked for, since most jobs use few of them.
 *
 * Invariant: once `stop` was called the signal is aborted, whenever it is asked for; the first reason stays.
 */
import type { Clock } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import type { LogLine, Progress } from '../../runs/api.ts'
import { textOf } from '../failures.ts'
import type { Effect, JobContext, JobFacts, JobLog, LogLevel, StopReason } from '../api.ts'
import { JobEffect } from '../effect.ts'

const WORDS: Readonly<Record<StopReason, string>> = {
  timed_out: 'its time is over',
  cancelled: 'it was cancelled',
  lost: 'its message or claim was lost: another worker may have it',
  shutdown: 'its worker stops',
}

/** Told of what a job says. */
export interface Listener {
  log(line: LogLine): void
  progress(progress: Progress): void
}

/** The part that single jobs and batches share. */
export class Stoppable {
  #controller: AbortController | undefined
  #reason: SignalboxError | undefined
  stopped: StopReason | undefined

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  stop(reason: StopReason, what: string, note?: string): void {
    if (this.stopped !== undefined) return
    this.stopped = reason
    const why = note === undefined || note === '' ? WORDS[reason] : `${WORDS[reason]}: ${note}`
    this.#reason = new SignalboxError('cancelled', `${what}: ${why}`, { details: { reason } })
    this.#controller?.abort(this.#reason)
  }
}

export function logTo(clock: Clock, listener: Pick<Listener, 'log'>): JobLog {
  // In JavaScript anything may come as the text.
  const at = (level: LogLevel) => (text: string) =>
    listener.log({ at: clock.now(), level, text: textOf(text) })
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

export interface ContextParts {
  readonly facts: JobFacts
  readonly input: unknown
  readonly deps: unknown
  readonly clock: Clock
  readonly listener: Listener
  readonly stoppable: Stoppable
}

export class AttemptContext implements JobContext {
  readonly #parts: ContextParts
  #log: JobLog | undefined
  #effect: Effect | undefined

  constructor(parts: ContextParts) {
    this.#parts = parts
  }

  get job(): string {
    return this.#parts.facts.job
  }

  get id(): string {
    return this.#parts.facts.id
  }

  get queue(): string {
    return this.#parts.facts.queue
  }

  get group(): string | undefined {
    return this.#parts.facts.group
  }

  get runId(): string | undefined {
    return this.#parts.facts.runId
  }

  get attempt(): number {
    return this.#parts.facts.attempt
  }

  get attempts(): number {
    return this.#parts.facts.attempts
  }

  get sentAt(): number {
    return this.#parts.facts.sentAt
  }

  get input(): unknown {
    return this.#parts.input
  }

  get deps(): unknown {
    return this.#parts.deps
  }

  get signal(): AbortSignal {
    return this.#parts.stoppable.signal
  }

  get log(): JobLog {
    return (this.#log ??= logTo(this.#parts.clock, this.#parts.listener))
  }

  get progress(): (progress: Progress) => void {
    return (progress) => this.#parts.listener.progress(progress)
  }

  get effect(): Effect {
    const { facts, clock } = this.#parts
    return (this.#effect ??= new JobEffect(facts.job, facts.id, clock))
  }
}
