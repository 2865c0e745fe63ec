/**
 * How runs lie in the store (../ports/store.ts). All keys are decimal, so that a table with a numeric range key can hold them.
 *
 *   signalbox:run:<id>               0        → Stored: the run's one point of decision; every commit expects its version
 *   signalbox:runx:<id>:<born>       0, 1     → input and result, where they are too large for that record
 *                                    100 + n  → Chunk: lines of the log, from number n on
 *   signalbox:runs:s:<state>         place    → Row: one list of runs a state …
 *   signalbox:runs:j:<job>:<state>   place    → Row: … a job and state …
 *   signalbox:runs:c:<schedule>:<state> place → Row: … a schedule and state
 *   signalbox:runs:live:<0-15>       time     → Live: when to look whether a claim has expired or something is to be deleted
 *   signalbox:runs:out:<0-15>        time     → Out: a wake-up that is to be sent (dispatcher.ts)
 *   signalbox:runs:orders:<worker>   time     → CancelOrder: what this worker shall stop; for an hour
 *
 * Index records are committed with their run and carry what a list shows, so that a list is range reads alone. A list of several
 * states merges one range of each: a run's place in the order is the same in all, and an index of all states would cost one more
 * record with every transition. Once a run has ended, its records expire by themselves; what a run has beside them
 * (`runx`) is deleted through `live`.
 */
import { decimalKey, type Change, type Json, type Key } from '../ports/store.ts'
import { hasEnded, type KeptLine, type Run } from './state.ts'
import type { CancelOrder } from './api-views.ts'
import type { RunState } from './vocabulary.ts'

/** A run's record. */
export interface Stored {
  readonly run: Run
  /** Its key in the indexes. */
  readonly place: number
  /** Names its partition for large parts. */
  readonly born: number
  /** Random, of the call that created it: tells that call, after a lost answer, that it did. */
  readonly mark: string
  /** Random, of the commit that wrote this. */
  readonly stamp: string
  /** Its key in `live`. */
  readonly live?: number
  /** Absent: in a record of its own. */
  readonly input?: { readonly json: Json }
  readonly result?: { readonly json: Json } | 'apart'
  /** The beginning of the input, masked, for lists. */
  readonly summary?: string
}

/** What an index record carries beside what its partition says. Times in milliseconds. */
export interface Row extends Pick<
  Run,
  | 'id'
  | 'queue'
  | 'source'
  | 'attempt'
  | 'attempts'
  | 'createdAt'
  | 'notBefore'
  | 'hold'
  | 'startedAt'
  | 'endedAt'
  | 'worker'
  | 'schedule'
  | 'scheduledAt'
  | 'restartOf'
  | 'reason'
> {
  readonly error?: string
  readonly input?: string
}

export interface Chunk {
  readonly n: number
  readonly attempt: number
  readonly lines: readonly (readonly [at: number, level: number, text: string, fields?: Json])[]
}

export interface Live {
  readonly id: string
  readonly born: number
}

export interface Out {
  readonly id: string
  /** Of the run: the same id may be used again once it is forgotten. */
  readonly born: number
  readonly queue: string
  readonly group?: string
  readonly dueAt: number
  /** Counts the wake-ups of this run. */
  readonly wake: number
  /** How often it was tried in vain. */
  readonly tries: number
}

export const SHARDS = 16
/** Larger inputs and results lie in records of their own. */
const INLINE_BYTES = 2_000
const CHUNK_BYTES = 60 * 1024
const ERROR_IN_ROW = 200
const ORDER_KEPT_MS = 3_600_000

export const runKey = (id: string): Key => [runPartition(id), decimalKey(0)]
export const runPartition = (id: string): string => `signalbox:run:${id}`
export const partsPartition = ({ id, born }: Live): string => `signalbox:runx:${id}:${born}`
export const inputKey = (of: Live): Key => [partsPartition(of), decimalKey(0)]
export const resultKey = (of: Live): Key => [partsPartition(of), decimalKey(1)]
const CHUNKS = 100
export const chunkKeyPart = (n: number): string => decimalKey(CHUNKS + n)
export const livePartition = (shard: number): string => `signalbox:runs:live:${shard}`
export const outPartition = (shard: number): string => `signalbox:runs:out:${shard}`
export const ordersPartition = (worker: string): string => `signalbox:runs:orders:${worker}`

export interface IndexName {
  readonly job?: string
  readonly schedule?: string
}

/** The index to read for a list; that of the schedule if one is named. */
export function indexPartition({ job, schedule }: IndexName, state: RunState): string {
  if (schedule !== undefined) return `signalbox:runs:c:${schedule}:${state}`
  return job === undefined ? `signalbox:runs:s:${state}` : `signalbox:runs:j:${job}:${state}`
}

export function shardOf(id: string): number {
  let hash = 0
  for (let i = 0; i < id.length; i++) hash = (Math.imul(hash, 31) + id.charCodeAt(i)) | 0
  return (hash >>> 0) % SHARDS
}

export function isLarge(json: Json): boolean {
  return Buffer.byteLength(JSON.stringify(json)) > INLINE_BYTES
}

/** When an ended run is forgotten; undefined while it has not ended. */
export function keptUntil({ state, endedAt, retentionMs }: Run): number | undefined {
  return hasEnded(state) && endedAt !== undefined ? endedAt + retentionMs : undefined
}

export function rowOf({ run, summary }: Stored): Row {
  const { id, queue, source, attempt, attempts, createdAt, notBefore, hold, startedAt, endedAt } = run
  const { worker, schedule, scheduledAt, restartOf, reason, error } = run
  return defined({
    id,
    queue,
    source,
    attempt,
    attempts,
    createdAt,
    notBefore,
    hold,
    startedAt,
    endedAt,
    worker,
    schedule,
    scheduledAt,
    restartOf,
    reason,
    error: error?.message.slice(0, ERROR_IN_ROW),
    input: summary,
  })
}

/** Has it records in its partition for large parts? */
export function hasParts({ input, result, run }: Stored): boolean {
  return input === undefined || result === 'apart' || (run.log?.lines ?? 0) > 0
}

/** The index records of a run as `put`s or `delete`s; none when both are in the same place and nobody has let it go. */
export function indexChanges(before: Stored | undefined, after: Stored): Change[] {
  const stays = before?.run.state === after.run.state && before.place === after.place
  if (stays && before.run.hold === after.run.hold) return []
  const changes: Change[] = []
  if (before !== undefined && !stays) {
    for (const key of indexKeys(before)) changes.push({ op: 'delete', key, expect: 'present' })
  }
  const value = asJson(rowOf(after))
  const expiry = expiryOf(after.run)
  const expect = stays ? 'present' : 'absent'
  for (const key of indexKeys(after)) changes.push({ op: 'put', key, expect, value, ...expiry })
  return changes
}

export function indexKeys({ run: { job, schedule, state }, place }: Stored): Key[] {
  const names: IndexName[] = [{}, { job }, ...(schedule === undefined ? [] : [{ schedule }])]
  return names.map((name) => [indexPartition(name, state), decimalKey(place)])
}

export function putRun(stored: Stored, expect: Change['expect']): Change {
  const value = asJson(stored)
  return { op: 'put', key: runKey(stored.run.id), expect, value, ...expiryOf(stored.run) }
}

function expiryOf(run: Run): { readonly expiresAt?: number } {
  const expiresAt = keptUntil(run)
  return expiresAt === undefined ? {} : { expiresAt }
}

export interface LoggedPart {
  readonly attempt: number
  /** Number of its first line. */
  readonly n: number
  readonly lines: readonly KeptLine[]
}

/** Lines as chunks. */
export function chunkChanges(of: Live, parts: readonly LoggedPart[]): Change[] {
  const changes: Change[] = []
  for (const { attempt, n, lines } of parts) {
    let first = 0
    while (first < lines.length) {
      let bytes = 0
      let end = first
      for (; end < lines.length; end++) {
        bytes += lines[end]?.bytes ?? 0
        if (end > first && bytes > CHUNK_BYTES) break
      }
      const chunk: Chunk = {
        n: n + first,
        attempt,
        lines: lines
          .slice(first, end)
          .map(({ at, level, text, fields }) =>
            fields === undefined ? [at, level, text] : [at, level, text, fields],
          ),
      }
      const key: Key = [partsPartition(of), chunkKeyPart(chunk.n)]
      changes.push({ op: 'put', key, expect: 'absent', value: asJson(chunk) })
      first = end
    }
  }
  return changes
}

export function orderChange(worker: string, order: CancelOrder, key: number, now: number): Change {
  const expiresAt = now + ORDER_KEPT_MS
  return {
    op: 'put',
    key: [ordersPartition(worker), decimalKey(key)],
    expect: 'absent',
    value: asJson(order),
    expiresAt,
  }
}

/** Records are plain JSON; interfaces lack the index signature that `Json` asks for. */
export function asJson(value: Stored | Row | Chunk | Live | Out | CancelOrder): Json {
  return value as unknown as Json
}

function defined<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T
}
