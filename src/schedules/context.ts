/** What the parts of the schedules service share, and how they commit: load, decide, commit under the version, else again. */
import { backoffDelay } from '../kernel/backoff.ts'
import { sleep, type Clock } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import { auditChange, type AuditEntry } from '../ports/audit.ts'
import type { Change, Store, Version } from '../ports/store.ts'
import { checkInput } from '../runs/check-input.ts'
import { findRegistered } from '../runs/registry.ts'
import type { JobManifest } from '../runs/vocabulary.ts'
import type { ScheduleDefinition } from './api.ts'
import type { RunsOfSchedules, ScheduleEvent, ScheduleNotice } from './contract.ts'
import { load, type Writing } from './records.ts'

export interface Context extends Writing {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly runs: RunsOfSchedules
  /** Somebody else fires. */
  readonly external: boolean
  /** Nobody fires. */
  readonly off: boolean
  readonly jobs: KnownJobs
  readonly event: (event: ScheduleEvent) => void
  readonly beside: (notice: ScheduleNotice) => readonly Change[]
  /** A schedule is to be looked at then, maybe earlier than was known. */
  readonly expect: (at: number) => void
  /** Runs of it are held. */
  readonly holds: (name: string) => void
  /** Something of it changed: hints for those who follow. */
  readonly changed: (name: string) => void
  /** Aborts when the service closes. */
  readonly closing: AbortSignal
}

export function nowOf({ store }: Pick<Context, 'store'>): number {
  return Math.floor(store.now().ms)
}

const RETRY = { baseMs: 5, maxMs: 500 }
const MAX_ATTEMPTS = 30

/** Decides and commits until it succeeds. `again`: it has to be decided anew, on what is there by then. */
export async function untilCommitted<T>(
  { clock, random, closing }: Pick<Context, 'clock' | 'random' | 'closing'>,
  what: string,
  attempt: (number: number) => Promise<T | 'again'>,
): Promise<T> {
  for (let number = 0; number <= MAX_ATTEMPTS; number++) {
    if (number > 0) {
      if (closing.aborted) throw new SignalboxError('unavailable', 'the server is stopping; ask again')
      if (number > 1) await sleep(clock, backoffDelay(RETRY, number - 2, random))
    }
    try {
      const result = await attempt(number)
      if (result !== 'again') return result
    } catch (error) {
      if (!isSignalboxError(error, 'throttled') || number === MAX_ATTEMPTS) throw error
    }
  }
  throw new SignalboxError('throttled', `${what} is changed by many at once; repeat the call`)
}

export type Committed =
  | { readonly ok: true; readonly versions: readonly (Version | undefined)[] | undefined }
  | { readonly ok: false }

/**
 * Commits a state of a schedule. After a lost answer the record tells by its stamp whose commit was the last; if another came after
 * ours it is decided anew, which is safe, as each run and each step of a schedule has its own key and version.
 */
export async function commitState(
  { store }: Pick<Context, 'store'>,
  name: string,
  stamp: string,
  changes: readonly Change[],
): Promise<Committed> {
  try {
    const result = await store.commit(changes)
    return result.ok ? { ok: true, versions: result.versions } : { ok: false }
  } catch (error) {
    if (!isSignalboxError(error, 'outcome_unknown')) throw error
    const present = await load(store, name)
    return present?.stored.stamp === stamp ? { ok: true, versions: undefined } : { ok: false }
  }
}

export function newStamp(random: Random): string {
  return random.id().slice(0, 12)
}

export function audit(
  { store, random }: Pick<Context, 'store' | 'random'>,
  action: string,
  target: string,
  { by, ...more }: { readonly by: string } & Pick<AuditEntry, 'reason' | 'details'>,
): Change {
  return auditChange({ at: nowOf({ store }), actor: by, action, target, ...more }, random)
}

export function unknownSchedule(name: string): SignalboxError {
  return new SignalboxError(
    'not_found',
    `there is no schedule '${name.slice(0, 64)}'; 'signalbox schedule list' shows those there are`,
  )
}

/** A job that is known stays so for a while, so that what is due does not read it each time. */
const FRESH_MS = 5_000
const MAX_KNOWN = 1_000

/** Manifests of jobs, as workers registered them. */
export class KnownJobs {
  readonly #context: { readonly store: Store; readonly clock: Clock }
  readonly #known = new Map<string, { readonly manifest: JobManifest; readonly readAt: number }>()

  constructor(context: { readonly store: Store; readonly clock: Clock }) {
    this.#context = context
  }

  /** Maybe some seconds old. */
  async lately(name: string): Promise<JobManifest | undefined> {
    const known = this.#known.get(name)
    const now = this.#context.clock.monotonic()
    return known !== undefined && now - known.readAt < FRESH_MS ? known.manifest : this.find(name)
  }

  async find(name: string): Promise<JobManifest | undefined> {
    const found = await findRegistered(this.#context.store, name)
    this.#known.delete(name)
    if (found === undefined) return undefined
    if (this.#known.size >= MAX_KNOWN) this.#known.clear()
    this.#known.set(name, { manifest: found.manifest, readAt: this.#context.clock.monotonic() })
    return found.manifest
  }
}

/** Why a run could not start; undefined when it could. */
export function problemOf(
  { job, parameters }: Pick<ScheduleDefinition, 'job' | 'parameters'>,
  manifest: JobManifest | undefined,
): string | undefined {
  if (manifest === undefined) return `job '${job}' is unknown: no worker has registered it`
  try {
    checkInput(manifest, parameters)
    return undefined
  } catch (error) {
    if (isSignalboxError(error, 'invalid_argument')) return error.message
    throw error
  }
}
