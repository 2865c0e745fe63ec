/**
 * Lets held runs go, the oldest time first, once no other run of their schedule is left (with overlap `allow`: none but those that it fired
 * by itself); and cancels what has to make room, or what a deleted schedule left behind. Any server may look, at any time, and as often
 * as it likes.
 *
 * Invariants:
 * - while a run is held there is a record in the held index, committed with the run; so any look, of any server, finds it;
 * - a run is let go only after it was named in the schedule's record (`current`), under that record's version; nobody names another
 *   before that one has ended. So servers that look at once, or die between naming and letting go, never let two go;
 * - the record in the index goes in a commit that expects the schedule's version, on which no held run was found.
 */
import type { StoredRecord } from '../ports/store.ts'
import { runKey, type Stored as StoredRun } from '../runs/records.ts'
import { hasEnded } from '../runs/state.ts'
import { commitState, newStamp, untilCommitted, type Context } from './context.ts'
import type { OverlapPolicy } from './api.ts'
import type { LiveRun } from './contract.ts'
import { HELD, heldKey, loadAgain, transition, type Held, type HeldRecord, type Loaded } from './records.ts'

/** Live runs of a schedule that are looked at. */
export const MAX_LIVE = 1_000
/** So many tell that there is one, and which. */
const FEW = 10
const PAGE = 200
const AT_ONCE = 16
/** Who cancels, for people. */
const BY = 'scheduler'

export class HeldRuns {
  readonly #context: Context
  /** Schedules that hold runs, as far as is known here. */
  readonly #known = new Set<string>()
  /** Looks under way; `true`: once more after it. */
  readonly #looking = new Map<string, { again: boolean; readonly done: Promise<void> }>()

  constructor(context: Context) {
    this.#context = context
  }

  /** Runs of it are held since now. */
  add(name: string): void {
    this.#known.add(name)
    this.#lookSoon(name)
  }

  /** A run of it has ended. */
  ended(name: string): void {
    if (this.#known.has(name)) this.#lookSoon(name)
  }

  /** Looks at every schedule that holds runs. */
  async poll(): Promise<void> {
    let after: string | undefined
    do {
      const page = await this.#context.store.list(
        { partition: HELD },
        { limit: PAGE, ...(after === undefined ? {} : { after }) },
      )
      const names = page.records.map(({ value }) => (value as unknown as HeldRecord).name)
      for (let at = 0; at < names.length; at += AT_ONCE) {
        await Promise.all(names.slice(at, at + AT_ONCE).map((name) => this.#look(name)))
      }
      after = page.next
    } while (after !== undefined && !this.#context.closing.aborted)
  }

  /** Waits for looks under way. */
  async idle(): Promise<void> {
    await Promise.all([...this.#looking.values()].map(({ done }) => done))
  }

  #lookSoon(name: string): void {
    void this.#look(name)
  }

  /** One look at a time; what happens during it is looked at after it. Never throws. */
  #look(name: string): Promise<void> {
    if (this.#context.closing.aborted) return Promise.resolve()
    const under = this.#looking.get(name)
    if (under !== undefined) {
      under.again = true
      return under.done
    }
    const state = { again: false, done: Promise.resolve() }
    state.done = (async () => {
      try {
        do {
          state.again = false
          await this.#lookOnce(name)
        } while (state.again && !this.#context.closing.aborted)
      } finally {
        this.#looking.delete(name)
      }
    })()
    this.#looking.set(name, state)
    return state.done
  }

  async #lookOnce(name: string): Promise<void> {
    try {
      const holds = await untilCommitted(this.#context, `schedule '${name}'`, (attempt) =>
        lookAt(this.#context, name, attempt),
      )
      if (holds) this.#known.add(name)
      else this.#known.delete(name)
    } catch (error) {
      if (!this.#context.closing.aborted) this.#context.event({ kind: 'failed', schedule: name, error })
    }
  }
}

/** @returns are runs of it held still? `again`: the schedule changed meanwhile */
async function lookAt(context: Context, name: string, attempt: number): Promise<boolean | 'again'> {
  const loaded = await loadAgain(context.store, name, attempt)
  if (loaded?.stored.held === undefined) {
    await cleanAway(context, name)
    return false
  }
  const { held } = loaded.stored
  const live = await context.runs.liveOf(name, MAX_LIVE)
  const { next, victims } = whoIsNext(live, held)
  for (const { id } of victims) {
    await context.runs.cancel(id, { by: BY, reason: `run ${held.cancelFor ?? ''} takes its place` })
  }
  // Behind so many that were read there may be others, which are held.
  if (next === undefined && live.length >= MAX_LIVE) return true
  if (next === undefined) return (await settle(context, loaded)) ? false : 'again'
  if (held.current !== undefined && (await isInTheWay(context, held.current))) return true
  // Where the schedule's own runs may run side by side, those that wait for each other (a backfill) need not wait for them.
  const besides = loaded.stored.definition.overlap === 'allow'
  const blocks = ({ id, source }: LiveRun): boolean =>
    id !== held.current && !(besides && source === 'schedule')
  if (live.some((run) => !run.held && blocks(run))) return true
  if (!(await letGo(context, loaded, next))) return 'again'
  await context.runs.release(next.id)
  return true
}

/** The runs that may be in the way of a new one, the oldest first. */
export async function inTheWay(
  { runs }: Pick<Context, 'runs'>,
  name: string,
  overlap: OverlapPolicy,
): Promise<readonly LiveRun[]> {
  if (overlap === 'allow') return []
  return runs.liveOf(name, overlap === 'skip' ? FEW : MAX_LIVE)
}

/** The held run whose turn it is, and those that have to make room for one. */
export function whoIsNext(
  live: readonly LiveRun[],
  { cancelFor }: Held,
): { readonly next: LiveRun | undefined; readonly victims: readonly LiveRun[] } {
  const at = live.findIndex(({ id, held }) => held && id === cancelFor)
  const first = live[at]
  const victims = live.filter((run, index) => {
    if (first === undefined || run === first) return false
    const { scheduledAt } = run
    return scheduledAt === undefined ? index < at : scheduledAt < (first.scheduledAt ?? 0)
  })
  const waiting = live.filter((run) => run.held && !victims.includes(run))
  const next = waiting.reduce<LiveRun | undefined>(
    (best, run) => (best !== undefined && timeOf(best) <= timeOf(run) ? best : run),
    undefined,
  )
  return { next, victims }
}

function timeOf({ scheduledAt = 0 }: LiveRun): number {
  return scheduledAt
}

/** The run that was let go last: it may not have been let go after all, and then it is now. */
async function isInTheWay({ store, runs }: Context, id: string): Promise<boolean> {
  const record = await store.get(runKey(id))
  if (record === undefined) return false
  const { run } = record.value as unknown as StoredRun
  if (hasEnded(run.state)) return false
  if (run.hold !== undefined) await runs.release(id)
  return true
}

/** Names the run that goes next. @returns false: the schedule changed meanwhile; look again */
async function letGo(context: Context, { stored, version }: Loaded, { id }: LiveRun): Promise<boolean> {
  const { due: _, ...rest } = stored
  const after = { ...rest, held: { ...rest.held, current: id }, stamp: newStamp(context.random) }
  const changes = transition({ stored, version }, after, context)
  const { ok } = await commitState(context, stored.definition.name, after.stamp, changes)
  return ok
}

/** Nothing is held any more. @returns false: the schedule changed meanwhile */
async function settle(context: Context, { stored, version }: Loaded): Promise<boolean> {
  const { due: _, held: _held, ...rest } = stored
  const after = { ...rest, stamp: newStamp(context.random) }
  const changes = transition({ stored, version }, after, context)
  const { ok } = await commitState(context, stored.definition.name, after.stamp, changes)
  return ok
}

/**
 * Cancels what a schedule that was deleted left held. Until that is done there is a record in the held index, which keeps a new schedule
 * of this name from holding runs; so all that are held belong to the old one.
 */
export async function cleanAway(context: Context, name: string): Promise<void> {
  const { store, runs } = context
  await untilCommitted(context, `schedule '${name}'`, async () => {
    const record = await store.get(heldKey(name))
    if (record === undefined || !isGone(record)) return undefined
    const live = await runs.liveOf(name, MAX_LIVE)
    // Another server may have been quicker, and a new schedule holds runs by now.
    if ((await store.get(heldKey(name)))?.version !== record.version) return 'again'
    const held = live.filter((run) => run.held)
    for (const { id } of held) await runs.cancel(id, { by: BY, reason: 'its schedule was deleted' })
    if (held.length > 0) return 'again'
    // Behind so many there may be others; a later look finds them.
    if (live.length >= MAX_LIVE) return undefined
    const { ok } = await store.commit([
      { op: 'delete', key: record.key, expect: { version: record.version } },
    ])
    return ok ? undefined : 'again'
  })
}

function isGone({ value }: StoredRecord): boolean {
  return (value as unknown as HeldRecord).gone === true
}
