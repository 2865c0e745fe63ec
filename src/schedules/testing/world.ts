/**
 * Schedules in tests: replicas on one memory database and one moment in time, each with a clock of its own that may be off, faults
 * of its own and a life that may end in the midst of a commit; and workers that run what is sent.
 */
import type { FaultPlan } from '../../drivers/memory/faults.ts'
import { memoryDatabase, type MemoryDatabase, type MemoryStore } from '../../drivers/memory/index.ts'
import type { Clock, Timer } from '../../kernel/clock.ts'
import { seededRandom } from '../../kernel/id.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import type { Change, Store } from '../../ports/store.ts'
import { indexPartition, type Row } from '../../runs/records.ts'
import { createRunsService, type RunsService } from '../../runs/service.ts'
import { runStates, type JobManifest, type RunState } from '../../runs/vocabulary.ts'
import type { ScheduleInput, TriggerKind } from '../api.ts'
import { createSchedulesService, type SchedulesService } from '../service.ts'

export const JOB: JobManifest = { name: 'report', queue: 'default', attempts: 1 }

/** One server. */
export interface Replica {
  readonly name: string
  readonly store: MemoryStore
  readonly runs: RunsService
  readonly schedules: SchedulesService
  /** Its wall clock. */
  readonly machine: MachineClock
  /** Ends like a process that is killed: what is under way is never answered, nothing gets out any more. */
  kill(): Promise<void>
}

export interface ReplicaOptions {
  readonly seed?: number
  readonly faults?: FaultPlan
  /** How far its clock is ahead of true time. */
  readonly offsetMs?: number
  readonly pollMs?: number
  /** How often the runs service looks at what is due; default a minute, to save time. */
  readonly sweepMs?: number
  /** Who fires; default embedded. */
  readonly trigger?: TriggerKind
  /** Told of each commit at the moment it takes effect. */
  readonly onCommit?: (changes: readonly Change[]) => void
  /** Breaks the code for a test of the judge. */
  readonly sabotage?: (store: Store) => Store
}

export interface World {
  readonly clock: ManualClock
  readonly database: MemoryDatabase
  /** For looking at records: no faults, true time. */
  readonly store: MemoryStore
  /** Those that live. */
  readonly replicas: Replica[]
  /** Wake-ups that nobody took yet: ids of runs. */
  readonly queue: string[]
  /** One more server, started. */
  start(options?: ReplicaOptions): Promise<Replica>
  /** Ends a server, as `Replica.kill`, and lets time pass until it is gone. */
  kill(replica: Replica | undefined): Promise<void>
  /** Lets time pass until it is done. */
  driven<T>(work: Promise<T>): Promise<T>
  /** Kept by a server: the first that lives. */
  readonly put: (schedule: Partial<ScheduleInput> & { readonly name: string }) => Promise<void>
  /** All runs of a schedule, the oldest time first. */
  runsOf(schedule: string): Promise<readonly SeenRun[]>
  close(): Promise<void>
}

export interface SeenRun {
  readonly id: string
  readonly state: RunState
  /** ISO 8601, to the second. */
  readonly at: string
  readonly source: string
  readonly reason?: string
  /** When its record was made, by the server's clock. */
  readonly createdAt: number
}

/** The clock of one machine: a wall clock that may be off, and a monotonic one that began at some time of its own. */
export class MachineClock implements Clock {
  readonly #base: Clock
  readonly #start: number
  offsetMs: number

  constructor(base: Clock, offsetMs: number, startMs: number) {
    this.#base = base
    this.offsetMs = offsetMs
    this.#start = startMs
  }

  now(): number {
    return this.#base.now() + this.offsetMs
  }

  monotonic(): number {
    return this.#base.monotonic() + this.#start
  }

  timer(ms: number, fire: () => void): Timer {
    return this.#base.timer(ms, fire)
  }
}

export function scheduleWorld(startAt = '2026-03-01T00:00:00Z'): World {
  const clock = new ManualClock(Date.parse(startAt))
  const database = memoryDatabase({ limits: { keys: 'decimal' } })
  const replicas: Replica[] = []
  const queue: string[] = []
  const store = database.connect({ clock })
  let started = 0

  const start: World['start'] = async (options = {}) => {
    const number = ++started
    const replica = makeReplica({ clock, database, queue, number }, options, () => {
      const index = replicas.indexOf(replica)
      if (index >= 0) replicas.splice(index, 1)
    })
    replicas.push(replica)
    if (number === 1) await replica.runs.registerJobs([JOB], 'w1')
    await replica.runs.start()
    await replica.schedules.start()
    return replica
  }

  const driven = async <T>(work: Promise<T>): Promise<T> => {
    const state = { done: false }
    const end = (): void => void (state.done = true)
    work.then(end, end)
    while (!state.done) await clock.advance(10)
    return work
  }

  return {
    clock,
    database,
    store,
    replicas,
    queue,
    start,
    driven,
    async kill(replica) {
      if (replica === undefined) throw new Error('no server lives')
      await driven(replica.kill())
    },
    async put(schedule) {
      const replica = replicas[0]
      if (replica === undefined) throw new Error('no server lives')
      await replica.schedules.put(
        { job: JOB.name, expression: 'cron(* * * * ? *)', ...schedule },
        { by: 'ann' },
      )
    },
    async runsOf(schedule) {
      return seenRuns(store, schedule)
    },
    async close() {
      for (const replica of replicas) await driven(closed(replica))
      await store.close()
    },
  }
}

interface Place {
  readonly clock: ManualClock
  readonly database: MemoryDatabase
  readonly queue: string[]
  readonly number: number
}

function makeReplica(place: Place, options: ReplicaOptions, gone: () => void): Replica {
  const { clock, database, queue, number } = place
  const { seed = number, faults = {}, offsetMs = 0, pollMs, sweepMs = 60_000 } = options
  const { onCommit, trigger = 'embedded', sabotage = (s) => s } = options
  const random = seededRandom(seed)
  const machine = new MachineClock(clock, offsetMs, number * 1_000_000)
  const store = database.connect({ clock, random, faults, ...(onCommit === undefined ? {} : { onCommit }) })
  store.faults.clockOffsetMs = offsetMs
  const used = sabotage(store)
  const runs = createRunsService({
    store: used,
    clock: machine,
    random,
    sweepMs,
    send: async (_queue, messages) => {
      for (const { body } of messages) queue.push((JSON.parse(body) as { readonly run: string }).run)
      return messages.map(() => true)
    },
    onEvent: (event) => {
      if (event.kind === 'state' && event.schedule !== undefined) schedules.runEnded(event.schedule)
    },
  })
  const schedules = createSchedulesService({
    store: used,
    clock: machine,
    random,
    runs,
    trigger,
    ...(pollMs === undefined ? {} : { pollMs }),
  })
  const replica: Replica = {
    name: `server ${number}`,
    store,
    runs,
    schedules,
    machine,
    async kill() {
      store.faults.cut({ failAfterMs: 20 })
      gone()
      await closed(replica)
      await store.close()
    },
  }
  return replica
}

async function closed({ schedules, runs }: Replica): Promise<void> {
  await schedules.close().catch(() => undefined)
  await runs.close().catch(() => undefined)
}

export async function seenRuns(store: Store, schedule: string): Promise<readonly SeenRun[]> {
  const seen: SeenRun[] = []
  for (const state of runStates) {
    for (const { value } of await allRecords(store, indexPartition({ schedule }, state))) {
      const { id, scheduledAt, source, reason, createdAt } = value as unknown as Row
      const at = scheduledAt === undefined ? '-' : iso(scheduledAt)
      seen.push({ id, state, at, source, createdAt, ...(reason === undefined ? {} : { reason }) })
    }
  }
  return seen.sort((a, b) => (a.at === b.at ? a.createdAt - b.createdAt : a.at < b.at ? -1 : 1))
}

/** `2026-03-01T00:00:00Z` */
export function iso(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+/, '')
}

export async function allRecords(store: Store, partition: string) {
  const records = []
  for (let after: string | undefined; ;) {
    const page = await store.list({ partition }, { limit: 1_000, ...(after === undefined ? {} : { after }) })
    records.push(...page.records)
    after = page.next
    if (after === undefined) return records
  }
}
