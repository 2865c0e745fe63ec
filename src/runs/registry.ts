/**
 * The jobs that workers have said they run, with their manifests: `signalbox:jobs` → Registered, by a hash of the name. The latest
 * manifest counts.
 */
import { backoffDelay } from '../kernel/backoff.ts'
import { sleep, type Clock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import { keyHash } from '../ports/key-hash.ts'
import { decimalKey, type Json, type Store, type StoredRecord } from '../ports/store.ts'
import type { JobManifest } from './vocabulary.ts'

export interface Registered {
  readonly manifest: JobManifest
  readonly seenAt: number
  /** When each worker last said so. */
  readonly workers: { readonly [worker: string]: number }
}

export interface RegistryContext {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
}

const PARTITION = 'signalbox:jobs'
const keyOf = (name: string) => [PARTITION, decimalKey(keyHash(name))] as const
/** A worker that said nothing for so long does not count. */
export const WORKER_SEEN_MS = 180_000
/** Said again within this time, with the same manifest, it is not written again. */
const FRESH_MS = 20_000
const MAX_WORKERS = 200
const CHANCES = 20
const RETRY = { baseMs: 10, maxMs: 1_000 }

/** @throws SignalboxError `conflict` for two names with one hash, which nobody will see */
export async function register(
  context: RegistryContext,
  manifest: JobManifest,
  worker: string,
): Promise<void> {
  const { store, clock, random } = context
  for (let chance = 0; chance < CHANCES; chance++) {
    if (chance > 0) await sleep(clock, backoffDelay(RETRY, chance, random))
    const now = Math.floor(store.now().ms)
    const record = await store.get(keyOf(manifest.name))
    const before = record && registeredIn(record)
    if (before !== undefined && before.manifest.name !== manifest.name) {
      throw new SignalboxError('conflict', `job ${manifest.name}: its name cannot be kept; choose another`)
    }
    if (before !== undefined && isFresh(before, manifest, worker, now)) return
    const workers = { ...living(before?.workers ?? {}, now), [worker]: now }
    const value = JSON.parse(JSON.stringify({ manifest, seenAt: now, workers })) as Json
    const expect = record === undefined ? 'absent' : { version: record.version }
    const { ok } = await store.commit([{ op: 'put', key: keyOf(manifest.name), expect, value }])
    if (ok) return
  }
  throw new SignalboxError('throttled', 'many workers register the same job at once; repeat the call')
}

function isFresh(before: Registered, manifest: JobManifest, worker: string, now: number): boolean {
  const seen = before.workers[worker]
  if (seen === undefined || Math.abs(now - seen) > FRESH_MS) return false
  return JSON.stringify(before.manifest) === JSON.stringify(manifest)
}

function living(workers: Registered['workers'], now: number): Registered['workers'] {
  const alive = Object.entries(workers).filter(([, at]) => now - at < WORKER_SEEN_MS)
  return Object.fromEntries(alive.sort((a, b) => b[1] - a[1]).slice(0, MAX_WORKERS - 1))
}

/** By name. */
export async function registered(store: Store): Promise<Registered[]> {
  const all: Registered[] = []
  let after: string | undefined
  do {
    const page = await store.list(
      { partition: PARTITION },
      { limit: 1_000, ...(after === undefined ? {} : { after }) },
    )
    all.push(...page.records.map(registeredIn))
    after = page.next
  } while (after !== undefined)
  return all.sort((a, b) => (a.manifest.name < b.manifest.name ? -1 : 1))
}

export async function findRegistered(store: Store, name: string): Promise<Registered | undefined> {
  const record = await store.get(keyOf(name))
  const found = record && registeredIn(record)
  return found?.manifest.name === name ? found : undefined
}

function registeredIn({ value }: StoredRecord): Registered {
  return value as unknown as Registered
}
