/** One attempt of one job in a worker: what is known of it from its message, its run and its definition. */
import type { Clock } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import type { LogLine, Progress } from '../../runs/api.ts'
import type { BatchItem, Effect, JobFacts, WorkerEvent } from '../api.ts'
import type { JobDefinition } from '../define.ts'
import { JobEffect } from '../effect.ts'
import { textOf } from '../failures.ts'
import type { RunClaim } from './claim.ts'
import { AttemptContext, Stoppable, type Listener } from './context.ts'
import type { Running } from './deadlines.ts'
import type { Item } from './feed.ts'

export interface AttemptParts {
  readonly item: Item
  readonly definition: JobDefinition
  readonly id: string
  readonly attempt: number
  readonly input: unknown
  readonly claim: RunClaim | undefined
  readonly clock: Clock
  readonly deps: unknown
  readonly onEvent: ((event: WorkerEvent) => void) | undefined
}

export class Attempt extends Stoppable implements JobFacts, Running, Listener {
  readonly item: Item
  readonly definition: JobDefinition
  readonly claim: RunClaim | undefined
  readonly id: string
  readonly attempt: number
  readonly input: unknown
  /** Monotonic. */
  startedAt = 0
  deadline = Infinity
  abandon: () => void = () => undefined
  readonly #parts: AttemptParts

  constructor(parts: AttemptParts) {
    super()
    this.#parts = parts
    this.item = parts.item
    this.definition = parts.definition
    this.claim = parts.claim
    this.id = parts.id
    this.attempt = parts.attempt
    this.input = parts.input
  }

  get job(): string {
    return this.definition.name
  }

  get queue(): string {
    return this.item.feed.queue
  }

  get group(): string | undefined {
    return this.item.message.groupId
  }

  get runId(): string | undefined {
    return this.claim?.id
  }

  get attempts(): number {
    return this.definition.retry.attempts
  }

  get sentAt(): number {
    return this.item.message.sentAt
  }

  override stop(reason: 'timed_out' | 'cancelled' | 'lost' | 'shutdown', note?: string): void {
    super.stop(reason, `job ${this.job} ${this.id}`, note)
  }

  log(line: LogLine): void {
    this.claim?.log(line)
    this.#parts.onEvent?.({ type: 'log', job: this.job, id: this.id, level: line.level, text: line.text })
  }

  progress(progress: Progress): void {
    this.claim?.progress(progress)
  }

  context(): AttemptContext {
    const { clock, deps, input } = this.#parts
    return new AttemptContext({ facts: this, input, deps, clock, listener: this, stoppable: this })
  }

  batchItem(): BatchItem<unknown> {
    const { job, id, queue, group, runId, attempt, attempts, sentAt, input } = this
    const effect: Effect = new JobEffect(job, id, this.#parts.clock)
    return { job, id, queue, group, runId, attempt, attempts, sentAt, input, effect }
  }
}

/** How the code of a job came to its end. */
export type Ran =
  | { readonly how: 'returned'; readonly value: unknown }
  | { readonly how: 'threw'; readonly error: unknown }
  /** It did not end although it was told to. */
  | { readonly how: 'abandoned' }

/** Runs it, as long as it is waited for. Never rejects. */
export function execute(running: { abandon: () => void }, run: () => unknown): Promise<Ran> {
  return new Promise((resolve) => {
    running.abandon = () => resolve({ how: 'abandoned' })
    try {
      const value = run()
      if (!isThenable(value)) resolve({ how: 'returned', value })
      else
        value.then(
          (result) => resolve({ how: 'returned', value: result }),
          (error: unknown) => resolve({ how: 'threw', error }),
        )
    } catch (error) {
      resolve({ how: 'threw', error })
    }
  })
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

/** What a job threw, whatever it was. */
export function errorOf(thrown: unknown): SignalboxError {
  if (thrown instanceof SignalboxError) return thrown
  const message = textOf(thrown instanceof Error ? thrown.message : thrown)
  return new SignalboxError('internal', message, { cause: thrown })
}
