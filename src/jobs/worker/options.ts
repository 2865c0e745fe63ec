/** What a worker is told, checked and with its defaults. */
import { parseDuration } from '../../kernel/duration.ts'
import { SignalboxError } from '../../kernel/error.ts'
import { workerName } from '../../runs/api.ts'
import type { Duration, JobsConnection, WorkerEvent } from '../api.ts'
import type { Job, JobDefinition } from '../define.ts'
import type { EnvelopeDecoder } from '../envelope.ts'
import type { Middleware } from '../middleware.ts'
import { checkJobQueue } from '../names.ts'

export interface WorkerOptions {
  /** Jobs that run at the same time, over all queues; 1 to 1,000, default 16. A batch counts as one. */
  readonly concurrency?: number
  /** Which queues, and how often each is chosen when several have something; default: those of the jobs, alike. */
  readonly queues?: Readonly<Record<string, number>>
  /** Around every job but those of batches, the first outermost. */
  readonly middleware?: readonly Middleware<never>[]
  /** Instead of this process's connection. */
  readonly via?: JobsConnection
  /** Reads bodies that other systems wrote. */
  readonly envelopes?: readonly EnvelopeDecoder[]
  /** So long after it was sent a job that no worker knows is dead-lettered; default `10m`. */
  readonly unknownJobGrace?: Duration
  /** A killed worker's jobs are delivered again after so long; `1s` to `15m`, default `30s`. Heartbeats keep those of one that lives. */
  readonly visibility?: Duration
  /** How long `drain` waits for what runs; default `30s`. */
  readonly grace?: Duration
  /** Who it is, in run records; default: made up. */
  readonly name?: string
  readonly onEvent?: (event: WorkerEvent) => void
}

export interface WorkerSettings {
  readonly jobs: ReadonlyMap<string, JobDefinition>
  readonly concurrency: number
  readonly queues: ReadonlyMap<string, number>
  readonly middleware: readonly Middleware<never>[]
  readonly envelopes: readonly EnvelopeDecoder[]
  readonly unknownJobGraceMs: number
  readonly visibilityMs: number
  readonly graceMs: number
  readonly name: string | undefined
  readonly deps: unknown
  readonly onEvent: ((event: WorkerEvent) => void) | undefined
}

const MAX_CONCURRENCY = 1_000
const MAX_WEIGHT = 1_000
const OPTIONS = new Set([
  'concurrency', 'queues', 'middleware', 'via', 'envelopes', 'unknownJobGrace', 'visibility', 'grace', 'name', 'onEvent', 'deps',
]) // prettier-ignore

/** @throws SignalboxError `invalid_argument` */
export function settingsOf(
  jobs: readonly Pick<Job, 'definition'>[],
  options: WorkerOptions & { readonly deps?: unknown },
): WorkerSettings {
  const unknown = Object.keys(options).find((option) => !OPTIONS.has(option))
  if (unknown !== undefined) throw invalid(`worker: there is no option '${unknown}'; remove it`)
  const { concurrency = 16, unknownJobGrace = '10m', visibility = '30s', grace = '30s' } = options
  return {
    jobs: byName(jobs),
    concurrency: whole(concurrency, 1, MAX_CONCURRENCY, 'worker: concurrency'),
    queues: queuesOf(jobs, options.queues),
    middleware: options.middleware ?? [],
    envelopes: options.envelopes ?? [],
    unknownJobGraceMs: parseDuration(unknownJobGrace, 'worker: unknownJobGrace'),
    visibilityMs: whole(
      parseDuration(visibility, 'worker: visibility'),
      1_000,
      900_000,
      'worker: visibility in ms',
    ),
    graceMs: parseDuration(grace, 'worker: grace'),
    name: nameOf(options.name),
    deps: options.deps,
    onEvent: quiet(options.onEvent),
  }
}

/** Run records keep it, and a mailbox has it. */
function nameOf(name: string | undefined): string | undefined {
  if (name === undefined || workerName.safeParse(name).success) return name
  throw invalid(
    `worker: name has 1 to 100 letters, digits and ._:@/-, got ${JSON.stringify(name).slice(0, 60)}`,
  )
}

/** Whoever listens must not disturb the work. */
function quiet(onEvent: WorkerOptions['onEvent']): WorkerOptions['onEvent'] {
  if (onEvent === undefined) return undefined
  return (event) => {
    try {
      onEvent(event)
    } catch {
      // It has no better place to be told.
    }
  }
}

function byName(jobs: readonly Pick<Job, 'definition'>[]): Map<string, JobDefinition> {
  const all = new Map<string, JobDefinition>()
  for (const { definition } of jobs) {
    const { name } = definition
    if (all.has(name)) throw invalid(`worker: there are two jobs ${name}; rename one`)
    all.set(name, definition)
  }
  return all
}

function queuesOf(
  jobs: readonly Pick<Job, 'definition'>[],
  weights: Readonly<Record<string, number>> | undefined,
): Map<string, number> {
  const queues = new Map<string, number>()
  if (weights === undefined) for (const { definition } of jobs) queues.set(definition.queue, 1)
  for (const [queue, weight] of Object.entries(weights ?? {})) {
    checkJobQueue(queue, 'worker')
    queues.set(queue, whole(weight, 1, MAX_WEIGHT, `worker: the weight of queue ${queue}`))
  }
  if (queues.size === 0) throw invalid('worker: give it jobs, or queues')
  return queues
}

function whole(value: number, min: number, max: number, what: string): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value
  throw invalid(`${what} must be a whole number from ${min} to ${max}, got ${value}`)
}

function invalid(message: string): SignalboxError {
  return new SignalboxError('invalid_argument', message)
}
