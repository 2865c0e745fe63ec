/**
 * The referee: never is a job of the dynamo-q tool at work beside one of ours, and the guard outlives each deadline of ours.
 *
 * One case is excused, and counted, because nobody can see it coming: a job at work whose entry another client of its own
 * tool destroyed, and which has not beaten since, when a process of ours that never saw that entry makes its look.
 */
import type { Change } from '../../../src/ports/store.ts'
import { asGuard, guardKey } from '../../../src/turns/guard/record.ts'
import type { ReferenceClient, ReferenceTable } from '../../support/reference-client.ts'
import type { Timeline } from '../timeline.ts'

export const QUEUE = 'deploy'

/** Work of ours under a turn. */
export interface Work {
  readonly name: string
  atWork(): boolean
  /** True milliseconds until its deadline. */
  leftMs(): number
}

export interface Violation {
  readonly invariant: string
  readonly detail: string
  readonly at: number
}

interface Shown {
  readonly at: number
  readonly keys: ReadonlySet<number>
}

/** A job of theirs at work. */
interface Job {
  /** Its entry stood when last looked at. */
  stood: boolean
  /** When it was last destroyed. */
  goneAt: number
  /** Processes of ours whose latest look could not know of it. */
  readonly missedBy: Set<string>
  excused: boolean
}

export class Judge {
  readonly #timeline: Timeline
  readonly #table: ReferenceTable
  readonly #ours = new Set<Work>()
  readonly #jobs = new Map<ReferenceClient, Job>()
  /** What each process of ours was shown, look by look. */
  readonly #shown = new Map<string, Shown[]>()
  violation: Violation | undefined
  excused = 0

  constructor(timeline: Timeline, table: ReferenceTable) {
    this.#timeline = timeline
    this.#table = table
  }

  violated(invariant: string, detail: string): void {
    this.violation ??= { invariant, detail, at: this.#timeline.monotonic() }
  }

  /** Work begins, or its deadline has moved. */
  works(work: Work): void {
    this.#ours.add(work)
    const guard = this.#table.now().get(Number(guardKey(QUEUE)[1]))
    const standsMs = (guard?.lastUpdated ?? 0) * 1_000 - this.#timeline.now()
    if (work.leftMs() > standsMs)
      this.violated(
        'the guard outlives each deadline',
        `${work.name}: ${work.leftMs()} ms, guard: ${standsMs}`,
      )
    this.check()
  }

  stops(work: Work): void {
    this.#ours.delete(work)
  }

  jobChanged(client: ReferenceClient): void {
    if (client.state === 'working')
      this.#jobs.set(client, { stood: true, goneAt: Infinity, missedBy: new Set(), excused: false })
    else this.#jobs.delete(client)
    this.check()
  }

  /** A process of ours was shown these keys of the partition. */
  looked(process: string, keys: ReadonlySet<number>): void {
    const shown = this.#shown.get(process) ?? []
    for (const [{ timestamp }, { goneAt, missedBy }] of this.#jobs) {
      const known = shown.findLast(({ at }) => at <= goneAt)?.keys.has(timestamp) === true
      if (goneAt === Infinity || known || keys.has(timestamp)) missedBy.delete(process)
      else missedBy.add(process)
    }
    shown.push({ at: this.#timeline.monotonic(), keys })
    this.#shown.set(process, shown)
  }

  /** A commit of one of our processes. */
  committed(process: string, changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.op !== 'put' || change.key[0] !== QUEUE || change.key[1] !== guardKey(QUEUE)[1]) continue
      if (asGuard(change.value)?.verified === true) this.#verified(process)
    }
  }

  /** After every event. */
  check(): void {
    for (const [client, job] of this.#jobs) {
      const stands = this.#table.now().has(client.timestamp)
      if (job.stood && !stands) job.goneAt = this.#timeline.monotonic()
      job.stood = stands
      if (job.excused) continue
      for (const work of this.#ours)
        if (work.atWork())
          this.violated('no job of theirs is at work beside ours', `${client.clientId} and ${work.name}`)
    }
  }

  #verified(process: string): void {
    for (const job of this.#jobs.values()) {
      if (job.excused || !job.missedBy.has(process)) continue
      job.excused = true
      this.excused++
    }
  }
}
