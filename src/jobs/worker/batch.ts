/** One batch at work: what its code sees, and what became of each of its jobs. */
import type { Clock } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import type { LogLine } from '../../runs/api.ts'
import type { BatchContext, StopReason, WorkerEvent } from '../api.ts'
import type { Attempt, Ran } from './attempt.ts'
import { logTo, Stoppable } from './context.ts'
import type { Running } from './deadlines.ts'

interface Parts {
  readonly clock: Clock
  readonly deps: unknown
  readonly onEvent: ((event: WorkerEvent) => void) | undefined
}

export class BatchRun extends Stoppable implements Running {
  deadline: number
  abandon: () => void = () => undefined
  readonly #attempts: readonly [Attempt, ...Attempt[]]
  readonly #parts: Parts

  /** @param attempts of one job; at least one */
  constructor(attempts: readonly Attempt[], parts: Parts) {
    super()
    this.#attempts = attempts as readonly [Attempt, ...Attempt[]]
    this.#parts = parts
    this.deadline = parts.clock.monotonic() + this.#attempts[0].definition.timeoutMs
  }

  override stop(reason: StopReason): void {
    super.stop(reason, `a batch of ${this.#attempts[0].job}`)
  }

  start(): unknown {
    const [{ definition, job, queue }] = this.#attempts
    const stopped = (): AbortSignal => this.signal
    const context: BatchContext = {
      job,
      queue,
      get signal() {
        return stopped()
      },
      log: logTo(this.#parts.clock, { log: (line) => this.#log(line) }),
      deps: this.#parts.deps,
    }
    return definition.runBatch?.(
      this.#attempts.map((attempt) => attempt.batchItem()) as never,
      context as never,
    )
  }

  /** What became of each. */
  each(ran: Ran): readonly [Attempt, Ran][] {
    const results = this.#results(ran)
    return this.#attempts.map((attempt, i) => {
      if (this.stopped !== undefined) attempt.stop(this.stopped)
      return [attempt, results(i)]
    })
  }

  #results(ran: Ran): (i: number) => Ran {
    if (ran.how !== 'returned' || ran.value === undefined || ran.value === null) return () => ran
    const { value } = ran
    if (!Array.isArray(value) || value.length !== this.#attempts.length) {
      const [{ job }] = this.#attempts
      const what = `job ${job}: runBatch returns nothing, or an array with one entry for each of its ${this.#attempts.length} items`
      const error = new SignalboxError('invalid_argument', what)
      return () => ({ how: 'threw', error })
    }
    return (i) => {
      const result: unknown = value[i]
      return result instanceof Error ? { how: 'threw', error: result } : { how: 'returned', value: undefined }
    }
  }

  #log(line: LogLine): void {
    for (const { claim } of this.#attempts) claim?.log(line)
    const [{ job }] = this.#attempts
    this.#parts.onEvent?.({ type: 'log', job, id: '', level: line.level, text: line.text })
  }
}
