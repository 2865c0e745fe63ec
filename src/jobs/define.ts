/**
 * `defineJob`: a job's name, input and code in one place, typed for those who enqueue it and for the worker that runs it.
 *
 * Invariant: what is wrong with a definition is said when it is made, not when its first message comes.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { parseDuration } from '../kernel/duration.ts'
import { SignalboxError } from '../kernel/error.ts'
import type {
  BatchContext,
  BatchItem,
  Duration,
  EnqueueItem,
  EnqueueOptions,
  EnqueueResult,
  Enqueued,
  JobContext,
} from './api.ts'
import { checkJobName, checkJobQueue } from './names.ts'
import { enqueue, enqueueMany } from './enqueue.ts'
import { missingSecret } from './secrets.ts'

/** Options of a job, beside its code. */
export interface JobOptions<Schema extends StandardSchemaV1> {
  /** 1–64 letters, digits and `._-`. */
  readonly name: string
  /** What it does, for people; at most 2,000 characters. */
  readonly description?: string
  /** Default `default`. The name of a FIFO queue ends in `.fifo`. */
  readonly queue?: string
  /**
   * Any Standard Schema (zod, valibot, arktype, …). Inputs are JSON: it sees what `JSON.parse` gives. Where it can be said as JSON
   * Schema, people see its fields with their descriptions, and parameters of schedules are checked by it when they are saved.
   */
  readonly input: Schema
  readonly retry?: {
    /** How often it may be tried; 1 to 990, default 20. */
    readonly attempts?: number
    /** Delay before the second attempt; doubled, with jitter, for each further one. Default `1s`. */
    readonly minDelay?: Duration
    /** Default `15m`, at most `12h`. */
    readonly maxDelay?: Duration
  }
  /** Time of one attempt; default `30s`. */
  readonly timeout?: Duration
  /** The same id runs once, as long as its record is kept. Default true; false: the id is the key of the job's effects only. */
  readonly unique?: boolean
  /** Keep a record of every run; default: only of those with an id. */
  readonly keepRuns?: boolean | { readonly for: Duration }
  /** What becomes of a run whose worker was lost. Default `retry`; `fail` for runs that a schedule makes. */
  readonly onLost?: 'retry' | 'fail'
  /** Starts of this job, over all workers that share a store. */
  readonly rateLimit?: { readonly limit: number; readonly per: Duration }
  /** Fields of the input that are masked wherever they are shown; dots lead into objects (`smtp.password`), by themselves through lists. */
  readonly secrets?: readonly string[]
}

export interface SingleJobOptions<Schema extends StandardSchemaV1, Result, Deps> extends JobOptions<Schema> {
  readonly run: (
    input: StandardSchemaV1.InferOutput<Schema>,
    context: JobContext<Deps>,
  ) => Promise<Result> | Result
}

export interface BatchJobOptions<Schema extends StandardSchemaV1, Deps> extends JobOptions<Schema> {
  readonly batch: {
    /** Items of a batch; 1 to 1,000. */
    readonly max: number
    /** How long the first item waits for company; default `20ms`. */
    readonly within?: Duration
  }
  /**
   * Does several at once. @returns for each item, in their order, nothing (it is done) or an Error (it alone failed); nothing at
   * all: all are done. What it throws fails all of them.
   */
  readonly runBatch: (
    items: readonly BatchItem<StandardSchemaV1.InferOutput<Schema>>[],
    context: BatchContext<Deps>,
  ) => Promise<BatchResults> | BatchResults
}

export type BatchResults = readonly (Error | undefined)[] | undefined | void

/** A definition with its defaults filled in. */
export interface JobDefinition {
  readonly name: string
  readonly description: string | undefined
  readonly queue: string
  readonly schema: StandardSchemaV1
  readonly retry: { readonly attempts: number; readonly minDelayMs: number; readonly maxDelayMs: number }
  readonly timeoutMs: number
  readonly unique: boolean
  /** Undefined: no records but of those with an id. */
  readonly keepRuns: { readonly retentionMs: number | undefined } | undefined
  /** Undefined: the job does not say. */
  readonly onLost: 'retry' | 'fail' | undefined
  readonly rateLimit: { readonly limit: number; readonly perMs: number } | undefined
  readonly secrets: readonly string[]
  readonly batch: { readonly max: number; readonly withinMs: number } | undefined
  readonly run: ((input: never, context: JobContext<never>) => unknown) | undefined
  readonly runBatch:
    | ((
        items: readonly BatchItem<never>[],
        context: BatchContext<never>,
      ) => Promise<BatchResults> | BatchResults)
    | undefined
}

/** A job, for those who enqueue it (`Input`) and for the worker (`Deps`). */
export interface Job<Input = unknown, Deps = never> {
  readonly name: string
  readonly queue: string
  readonly definition: JobDefinition
  /**
   * @throws SignalboxError `invalid_argument` (the input, an option), `not_found` (its queue must exist, on SQS), `throttled`,
   *   `unavailable`, `outcome_unknown` (enqueue it again with the same id)
   */
  enqueue(input: Input, options?: EnqueueOptions): Promise<Enqueued>
  /**
   * Many at once, in batches.
   * @returns a result an item, in their order
   * @throws SignalboxError `invalid_argument` when one of the items is wrong; then nothing was sent
   */
  enqueueMany(
    items: readonly EnqueueItem<Input>[],
    options?: Pick<EnqueueOptions, 'queue' | 'via'>,
  ): Promise<readonly EnqueueResult[]>
  /** Never called: it tells the compiler what `deps` the job wants. */
  readonly '~deps'?: (deps: Deps) => void
}

const DEFAULT_QUEUE = 'default'
const MAX_ATTEMPTS = 990
const MAX_DELAY_MS = 12 * 3_600_000
const MAX_BATCH = 1_000
/** As the registry of jobs has them. */
const MAX_DESCRIPTION = 2_000
const MAX_SECRETS = 50
/** A hundred years, as run records have it. */
const MAX_KEPT_MS = 36_600 * 86_400_000
const OPTIONS = new Set([
  'name', 'description', 'queue', 'input', 'retry', 'timeout', 'unique', 'keepRuns', 'onLost', 'rateLimit', 'secrets',
  'run', 'batch', 'runBatch',
]) // prettier-ignore

/**
 * @example
 * export const recordVote = defineJob({
 *   name: 'record-vote',
 *   queue: 'votes',
 *   input: z.object({ topic: z.string(), choice: z.string() }),
 *   run: async ({ topic, choice }, { signal, log }) => { … },
 * })
 * await recordVote.enqueue({ topic: 'pizza', choice: 'more' })
 * @throws SignalboxError `invalid_argument` for a name or number that cannot be
 */
export function defineJob<Schema extends StandardSchemaV1, Result, Deps = unknown>(
  options: SingleJobOptions<Schema, Result, Deps>,
): Job<StandardSchemaV1.InferInput<Schema>, Deps>
export function defineJob<Schema extends StandardSchemaV1, Deps = unknown>(
  options: BatchJobOptions<Schema, Deps>,
): Job<StandardSchemaV1.InferInput<Schema>, Deps>
export function defineJob(
  options: SingleJobOptions<StandardSchemaV1, unknown, never> | BatchJobOptions<StandardSchemaV1, never>,
): Job {
  const definition = complete(options)
  return {
    name: definition.name,
    queue: definition.queue,
    definition,
    enqueue: (input, how) => enqueue(definition, input, how),
    enqueueMany: (items, how) => enqueueMany(definition, items, how),
  }
}

function complete(
  options: SingleJobOptions<StandardSchemaV1, unknown, never> | BatchJobOptions<StandardSchemaV1, never>,
): JobDefinition {
  const { name, description, queue = DEFAULT_QUEUE, input, retry = {}, timeout = '30s' } = options
  const { unique = true, keepRuns = false, onLost, rateLimit, secrets = [] } = options
  checkJobName(name)
  const at = `job ${name}`
  const unknown = Object.keys(options).find((option) => !OPTIONS.has(option))
  if (unknown !== undefined) throw invalid(`${at}: there is no option '${unknown}'; remove it`)
  checkJobQueue(queue, at)
  if (typeof input?.['~standard']?.validate !== 'function') {
    throw invalid(`${at}: input is a Standard Schema, as z.object({ … }) is`)
  }
  const { attempts = 20, minDelay = '1s', maxDelay = '15m' } = retry
  const minDelayMs = duration(minDelay, `${at}: retry.minDelay`, 0)
  const batch = 'batch' in options ? options.batch : undefined
  const single = 'run' in options ? options.run : undefined
  const many = 'runBatch' in options ? options.runBatch : undefined
  if ((single === undefined) === (many === undefined) || (batch === undefined) !== (many === undefined)) {
    throw invalid(`${at}: give it run, or batch and runBatch`)
  }
  return {
    name,
    description: described(description, at),
    queue,
    schema: input,
    retry: {
      attempts: whole(attempts, 1, MAX_ATTEMPTS, `${at}: retry.attempts`),
      minDelayMs,
      maxDelayMs: Math.max(minDelayMs, duration(maxDelay, `${at}: retry.maxDelay`, 0)),
    },
    timeoutMs: duration(timeout, `${at}: timeout`, 1),
    unique,
    keepRuns: kept(keepRuns, at),
    onLost,
    rateLimit: limited(rateLimit, at),
    secrets: hidden(secrets, input, at),
    batch: batch && {
      max: whole(batch.max, 1, MAX_BATCH, `${at}: batch.max`),
      withinMs: duration(batch.within ?? '20ms', `${at}: batch.within`, 0),
    },
    run: single,
    runBatch: many,
  }
}

function kept(keepRuns: JobOptions<StandardSchemaV1>['keepRuns'], at: string): JobDefinition['keepRuns'] {
  if (keepRuns === undefined || keepRuns === false) return undefined
  if (keepRuns === true) return { retentionMs: undefined }
  const retentionMs = parseDuration(keepRuns.for, `${at}: keepRuns.for`)
  if (retentionMs >= 1_000 && retentionMs <= MAX_KEPT_MS) return { retentionMs }
  throw invalid(`${at}: keepRuns.for must be 1s to 36600d, got ${keepRuns.for}`)
}

function described(description: string | undefined, at: string): string | undefined {
  if (description === undefined || description.length <= MAX_DESCRIPTION) return description
  throw invalid(`${at}: its description has ${description.length} characters; ${MAX_DESCRIPTION} may be`)
}

function hidden(secrets: readonly string[], schema: StandardSchemaV1, at: string): readonly string[] {
  if (secrets.length > MAX_SECRETS) throw invalid(`${at}: at most ${MAX_SECRETS} secrets may be named`)
  const missing = missingSecret(schema, secrets)
  if (missing === undefined) return secrets
  throw invalid(`${at}: its input has no field '${missing}' to keep secret; correct the name in secrets`)
}

function limited(
  rateLimit: JobOptions<StandardSchemaV1>['rateLimit'],
  at: string,
): JobDefinition['rateLimit'] {
  if (rateLimit === undefined) return undefined
  return {
    limit: whole(rateLimit.limit, 1, 1_000_000, `${at}: rateLimit.limit`),
    perMs: duration(rateLimit.per, `${at}: rateLimit.per`, 1),
  }
}

function whole(value: number, min: number, max: number, what: string): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw invalid(`${what} must be a whole number from ${min} to ${max}, got ${value}`)
}

function duration(text: Duration, what: string, min: number): number {
  const ms = parseDuration(text, what)
  if (ms >= min && ms <= MAX_DELAY_MS) return ms
  throw invalid(`${what} must be ${min}ms to 12h, got ${text}`)
}

function invalid(message: string): SignalboxError {
  return new SignalboxError('invalid_argument', message)
}
