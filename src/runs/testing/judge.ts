/**
 * Judges histories of runs: every write of a run's record, in the order in which the store took them, must be a step that the state
 * diagram (rules.ts) has; and what lies in the store at the end must fit together.
 */
import { decimalKey, type Change, type Store } from '../../ports/store.ts'
import {
  chunkKeyPart,
  hasParts,
  indexKeys,
  livePartition,
  outPartition,
  partsPartition,
  rowOf,
  SHARDS,
  shardOf,
  type Chunk,
  type Live,
  type Stored,
} from '../records.ts'
import { hasEnded } from '../state.ts'
import { runStates, type Outcome, type RunState } from '../vocabulary.ts'

const RUN = /^signalbox:run:(.+)$/

export class Judge {
  readonly latest = new Map<string, Stored>()
  /** How each epoch of a run ended, as the record says. */
  readonly ends = new Map<string, string>()
  readonly #claims = new Map<string, string>()
  readonly #accepted = new Map<string, Outcome['kind']>()
  readonly problems: string[] = []

  /** For `onCommit` of each handle. */
  readonly saw = (changes: readonly Change[]): void => {
    for (const change of changes) {
      const id = RUN.exec(change.key[0])?.[1]
      if (id === undefined) continue
      if (change.op === 'put') this.#wrote(id, change.value as unknown as Stored)
      else if (change.op === 'delete') this.latest.delete(id)
    }
  }

  /** A worker was told that it has the run. */
  claimed(id: string, epoch: number, nonce: string): void {
    const key = `${id} ${epoch}`
    const before = this.#claims.get(key)
    if (before !== undefined && before !== nonce) this.problems.push(`${key}: claimed by two`)
    this.#claims.set(key, nonce)
  }

  /** A worker was told that its outcome counts. */
  accepted(id: string, epoch: number, kind: Outcome['kind']): void {
    const key = `${id} ${epoch}`
    const before = this.#accepted.get(key)
    if (before !== undefined && before !== kind)
      this.problems.push(`${key}: accepted as ${before} and ${kind}`)
    this.#accepted.set(key, kind)
    if (this.ends.get(key) !== kind) {
      this.problems.push(`${key}: accepted as ${kind}, but recorded as ${this.ends.get(key) ?? 'nothing'}`)
    }
  }

  #wrote(id: string, after: Stored): void {
    const before = this.latest.get(id)
    const problem = before === undefined ? birthProblem(after) : stepProblem(before, after)
    if (problem !== undefined) this.problems.push(`${id}: ${problem}`)
    const { last } = after.run
    const old = before?.run.last
    if (last !== undefined && (old?.epoch !== last.epoch || old.as !== last.as)) {
      const key = `${id} ${last.epoch}`
      if (last.epoch !== after.run.epoch)
        this.problems.push(`${key}: ended when ${after.run.epoch} had the run`)
      if (this.ends.has(key)) this.problems.push(`${key}: ended twice`)
      this.ends.set(key, last.as)
    }
    this.latest.set(id, after)
  }
}

function birthProblem({ run }: Stored): string | undefined {
  if (run.state !== 'queued' && run.state !== 'skipped') return `born ${run.state}`
  if (run.hold !== undefined && run.wakes > 0) return 'born held, and somebody was woken'
  return run.epoch === 0 && run.attempt === 0 ? undefined : 'born with an epoch'
}

const NEXT: Readonly<Record<RunState, readonly RunState[]>> = {
  queued: ['queued', 'running', 'cancelled', 'succeeded', 'failed', 'timed_out'],
  running: ['running', 'queued', 'succeeded', 'failed', 'cancelled', 'timed_out', 'lost'],
  succeeded: ['succeeded'],
  failed: ['failed'],
  cancelled: ['cancelled'],
  timed_out: ['timed_out'],
  lost: ['lost'],
  skipped: ['skipped'],
}

function stepProblem({ run: a }: Stored, { run: b }: Stored): string | undefined {
  const step = `${a.state} → ${b.state}`
  if (!NEXT[a.state].includes(b.state)) return step
  if (b.hold !== undefined && (a.hold !== b.hold || b.state !== 'queued')) return `${step}: held`
  if (b.rev < a.rev) return `${step}: rev went back`
  if (b.epoch < a.epoch) return `${step}: the epoch went back`
  if (b.attempt > b.attempts) return `${step}: attempt ${b.attempt} of ${b.attempts}`
  if (b.epoch > a.epoch + 1) return `${step}: two claims in one commit`
  if (a.state === 'queued' && b.state === 'running' && b.epoch !== a.epoch + 1)
    return `${step} without a claim`
  if (a.state === 'running' && b.state === 'running' && b.epoch !== a.epoch) return 'a claim of a running run'
  if (
    hasEnded(a.state) &&
    JSON.stringify({ ...a, rev: 0, restartedAs: '' }) !== JSON.stringify({ ...b, rev: 0, restartedAs: '' })
  ) {
    return `${a.state}, and changed after that`
  }
  return undefined
}

/** What does not fit together in a store where nothing is under way. */
export async function inconsistencies(store: Store, runs: ReadonlyMap<string, Stored>): Promise<string[]> {
  const problems: string[] = []
  const wanted = new Map<string, string>()
  const partitions = new Set(runStates.map((state) => `signalbox:runs:s:${state}`))
  const lives = new Map<string, string>()
  for (const stored of runs.values()) {
    const { run } = stored
    for (const [partition, key] of indexKeys(stored)) {
      wanted.set(`${partition} ${key}`, JSON.stringify(rowOf(stored)))
      for (const state of runStates) partitions.add(partition.replace(/:[a-z_]+$/, `:${state}`))
    }
    if (stored.live !== undefined) {
      lives.set(`${livePartition(shardOf(run.id))} ${decimalKey(stored.live)}`, run.id)
    }
    if (run.state === 'running' && stored.live === undefined)
      problems.push(`${run.id}: runs, and is not in live`)
    if (hasEnded(run.state) && hasParts(stored) && stored.live === undefined) {
      problems.push(`${run.id}: its parts will never be deleted`)
    }
    problems.push(...(await logProblems(store, stored)))
  }
  for (const partition of partitions) {
    for (const { key, value } of await all(store, partition)) {
      const at = `${partition} ${key}`
      if (wanted.get(at) !== JSON.stringify(value))
        problems.push(`${at}: is ${JSON.stringify(value)}, not ${wanted.get(at)}`)
      wanted.delete(at)
    }
  }
  for (const [at] of wanted) problems.push(`${at}: is missing`)
  for (let shard = 0; shard < SHARDS; shard++) {
    for (const { key, value } of await all(store, livePartition(shard))) {
      const { id } = value as unknown as Live
      if (lives.get(`${livePartition(shard)} ${key}`) !== id) problems.push(`live ${shard} ${key}: nobody’s`)
      lives.delete(`${livePartition(shard)} ${key}`)
    }
    for (const { value } of await all(store, outPartition(shard))) {
      problems.push(`out ${shard}: left over: ${JSON.stringify(value)}`)
    }
  }
  for (const [at, id] of lives) problems.push(`${id}: ${at} is missing`)
  return problems
}

async function logProblems(store: Store, { run, born }: Stored): Promise<string[]> {
  const records = await all(store, partsPartition({ id: run.id, born }), chunkKeyPart(1))
  const problems: string[] = []
  const given = new Map<number, number>()
  let n = 0
  for (const { value } of records) {
    const chunk = value as unknown as Chunk
    if (chunk.n !== n + 1) problems.push(`${run.id}: line ${chunk.n} after ${n}`)
    n = chunk.n + chunk.lines.length - 1
    for (const [, , text] of chunk.lines) {
      const [, epoch, index] = /^(\d+)\/(\d+)$/.exec(text) ?? []
      if (epoch === undefined) continue
      if (Number(index) !== (given.get(Number(epoch)) ?? 0))
        problems.push(`${run.id}: line ${text} is doubled or missing`)
      given.set(Number(epoch), Number(index) + 1)
    }
  }
  if (n !== (run.log?.lines ?? 0))
    problems.push(`${run.id}: ${n} lines, the record says ${run.log?.lines ?? 0}`)
  return problems
}

async function all(store: Store, partition: string, from?: string) {
  const records = []
  for (let after: string | undefined; ;) {
    const page = await store.list(
      { partition, ...(from === undefined ? {} : { from }) },
      { limit: 1_000, ...(after === undefined ? {} : { after }) },
    )
    records.push(...page.records.map(({ key, value }) => ({ key: key[1], value })))
    after = page.next
    if (after === undefined) return records
  }
}
