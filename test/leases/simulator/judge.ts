/**
 * The judge of lease histories: it sees every commit at the moment it takes effect, and every request and answer, and says
 * what may not be. It knows the records' form but none of the rules' code.
 */
import type { Change } from '../../../src/ports/store.ts'
import type { LeaseAnswer, ProviderConfig, Refusal } from '../../../src/leases/api.ts'
import type { StoredHeader, StoredPast } from '../../../src/leases/records.ts'
import type { Entry, PastRequest } from '../../../src/leases/state.ts'

const HEADER = '000000000000000'
const NOTHING: StoredHeader = { fence: 0, seq: 0, from: 1, batch: 1, stableSince: 0, updatedAt: 0, stamp: '' }

export class Judge {
  readonly violations: string[] = []
  readonly #config: ProviderConfig
  readonly #partition: string
  readonly #historyPartition: string
  readonly #now: () => number
  #header: StoredHeader | undefined
  /** The known requests before the present commit. */
  #previous: ReadonlyMap<string, Entry> = new Map()
  readonly #entries = new Map<string, Entry>()
  /** All requests ever known, as they were last written. */
  readonly #lastKnown = new Map<number, Entry>()
  /** Fence by SHA and SHA by fence, for ever. */
  readonly #grants = new Map<number, string>()
  /** SHAs that a successful holder's commits contain, with the batch. */
  readonly #covered = new Map<string, number>()
  readonly #succeeded = new Set<string>()
  /** Who left the known requests during the present batch, with the last priority. */
  readonly #gone = new Map<string, number>()
  /** SHAs for which a release was sent at any time. */
  readonly #releaseSent = new Set<string>()
  /** Priorities that each SHA has asked with. */
  readonly #asked = new Map<string, Set<number>>()
  /** The history, by sequence number. */
  readonly past = new Map<number, PastRequest>()
  #clearing = false
  #lastChange = 0
  /** The last change before the present commit, in which a change may come after a grant. */
  #changeBefore = 0
  /** Has a holder of this batch failed or died? */
  #failedBatch: number | undefined

  constructor(
    partitions: { readonly state: string; readonly history: string },
    config: ProviderConfig,
    now: () => number,
  ) {
    this.#partition = partitions.state
    this.#historyPartition = partitions.history
    this.#config = config
    this.#now = now
  }

  clearSent(): void {
    this.#clearing = true
  }

  acquireSent(sha: string, priority: number): void {
    const asked = this.#asked.get(sha) ?? new Set()
    this.#asked.set(sha, asked.add(priority))
  }

  releaseSent(sha: string): void {
    this.#releaseSent.add(sha)
  }

  /** For a memory store's `onCommit`. */
  readonly committed = (changes: readonly Change[]): void => {
    const own = changes.filter(({ key }) => key[0] === this.#partition)
    const before = this.#header
    for (const change of own) {
      if (change.key[1] === HEADER && change.op === 'put')
        this.#header = change.value as unknown as StoredHeader
    }
    const after = this.#header
    if (after === undefined || own.length === 0) return
    const inserted: Entry[] = []
    this.#previous = new Map(this.#entries)
    const noted = changes.filter(({ key }) => key[0] === this.#historyPartition)
    this.#changeBefore = this.#lastChange
    // A SHA may be forgotten and known anew in one commit.
    for (const { op, key } of own) if (op === 'delete') this.#entryDeleted(Number(key[1]))
    for (const change of own) {
      if (change.key[1] === HEADER || change.op !== 'put') continue
      inserted.push(...this.#entryPut(change.value as unknown as Entry))
    }
    if (after.from !== before?.from) {
      for (const [sha, { seq }] of this.#entries) if (seq < after.from) this.#entries.delete(sha)
    }
    this.#transition(before ?? NOTHING, after, inserted)
    for (const change of noted) this.#noted(change, before ?? NOTHING, after)
    this.#unnoted(before ?? NOTHING, after, inserted)
    if (after.batch !== before?.batch) this.#gone.clear()
  }

  answered(sha: string, verb: 'acquire' | 'release', answer: LeaseAnswer | Refusal): void {
    if (answer.kind === 'refused') return
    const { status, fence } = answer
    const allowed = verb === 'acquire' ? ['pending', 'acquired', 'completed'] : ['completed', 'failure']
    if (!allowed.includes(status)) this.#object(`${verb} of ${sha} was answered ${status}`)
    if (status === 'acquired' && (fence === undefined || this.#grants.get(fence) !== sha)) {
      this.#object(
        `${sha} was told acquired with fence ${fence}, which is recorded for ${this.#grants.get(fence ?? 0)}`,
      )
    }
    if (status === 'completed' && !this.#succeeded.has(sha) && !this.#covered.has(sha)) {
      this.#object(`${sha} was told completed, and no successful holder contains it`)
    }
  }

  object(what: string): void {
    this.#object(what)
  }

  get phase(): 'busy' | 'open' {
    const header = this.#header
    return header?.holder === undefined && header?.failed === undefined ? 'open' : 'busy'
  }

  #entryPut(entry: Entry): Entry[] {
    this.#lastKnown.set(entry.seq, entry)
    const old = this.#entries.get(entry.sha)
    this.#entries.set(entry.sha, entry)
    if (old?.seq !== entry.seq || old.priority !== entry.priority || old.ref !== entry.ref)
      this.#lastChange = this.#now()
    return old?.seq === entry.seq ? [] : [entry]
  }

  #entryDeleted(seq: number): void {
    for (const [sha, entry] of this.#entries) {
      if (entry.seq !== seq) continue
      this.#entries.delete(sha)
      this.#gone.set(sha, entry.priority)
    }
  }

  #transition(before: StoredHeader, after: StoredHeader, inserted: readonly Entry[]): void {
    if (after.fence < before.fence) this.#object(`the fence went back from ${before.fence} to ${after.fence}`)
    if (after.batch < before.batch || after.seq < before.seq) this.#object('batch or sequence went back')
    const [was, is] = [before.holder, after.holder]
    if (was !== undefined && was.fence !== is?.fence) this.#ended(was, before.batch, inserted)
    if (was === undefined && before.failed !== undefined && after.batch === before.batch) {
      if (after.failed === undefined) this.#object('a failure was forgotten within its batch')
    }
    if (is !== undefined && is.fence !== was?.fence) this.#granted(before, after)
    if (is?.completed !== undefined && was?.completed === undefined) this.#success(after)
    const busy = before.holder !== undefined || before.failed !== undefined
    for (const { sha } of inserted) {
      if (busy && after.batch === before.batch && !this.#gone.has(sha) && !this.#clearing) {
        this.#object(`${sha} was let in while the batch was under way`)
      }
      if (this.#covered.get(sha) !== after.batch) this.#covered.delete(sha)
    }
  }

  /** A holder is no longer: it released, its time is over, it was cleared, or its batch is drained. */
  #ended(was: NonNullable<StoredHeader['holder']>, batch: number, inserted: readonly Entry[]): void {
    const over = this.#now() >= was.expiresAt
    if (over || this.#clearing || this.#releaseSent.has(was.sha)) {
      if (was.completed === undefined && !this.#clearing) this.#failedBatch = this.#header?.batch
    } else this.#object(`${was.sha} (fence ${was.fence}) lost its lease before its time`)
    if (was.completed === undefined || this.#clearing) return
    for (const entry of this.#entries.values()) {
      if (inserted.includes(entry)) continue
      const { sha, priority, seenAt, spared } = entry
      // One that said in between that it is not below belongs to the next batch.
      const below = sha !== was.sha && priority < was.priority && spared !== was.fence
      const live = this.#now() - seenAt <= this.#config.ttlMs
      if (below && live && this.#covered.get(sha) === batch)
        this.#object(`the drain of ${was.sha} ended before ${sha} was told`)
    }
  }

  #granted(before: StoredHeader, after: StoredHeader): void {
    const { holder } = after
    if (holder === undefined) return
    const { sha, fence, priority } = holder
    const greatest = Math.max(0, ...this.#grants.keys())
    if (fence <= greatest) this.#object(`fence ${fence} after ${greatest}`)
    this.#grants.set(fence, sha)
    // Commands of one commit come one after the other: somebody may have become higher after the grant.
    const wasHigher = ({ sha, seq }: Entry): boolean => {
      const previous = this.#previous.get(sha)
      return previous?.seq === seq && previous.priority > priority
    }
    const higher = [...this.#entries.values()].find((entry) => entry.priority > priority && wasHigher(entry))
    if (higher !== undefined)
      this.#object(`${sha} (${priority}) went before ${higher.sha} (${higher.priority})`)
    const stable = this.#now() - this.#changeBefore >= this.#config.stabilizeMs
    const enough = this.#entries.size >= this.#config.expectedCount
    const afterFailure = after.failed !== undefined && this.#failedBatch === after.batch
    if (!stable && !enough && !afterFailure) this.#object(`${sha} was granted before the window or the count`)
    if (before.coolUntil !== undefined && this.#now() < before.coolUntil)
      this.#object(`${sha} was granted while cooling down`)
  }

  /** A record of history: about a request that was known until now, once, and true. */
  #noted(change: Change, before: StoredHeader, after: StoredHeader): void {
    if (change.op !== 'put') {
      this.#object('a record of history was not written')
      return
    }
    const record = change.value as unknown as StoredPast
    const { seq, sha, as, fence } = record
    const about = `history of ${sha} (${as})`
    if (this.past.has(seq)) this.#object(`${about} was written twice`)
    this.past.set(seq, record)
    const entry = this.#lastKnown.get(seq)
    // One may come and go within one commit: who was forgotten returns, and is told that it is completed.
    const passing = entry === undefined && seq > before.seq && seq <= after.seq
    const known = entry?.sha === sha && entry.joinedAt === record.joinedAt
    if (!known && !passing) this.#object(`${about} is of a request that was not known so`)
    if (this.#asked.get(sha)?.has(record.priority) !== true)
      this.#object(`${about} has a priority that was never asked for`)
    if (record.endedAt !== this.#now()) this.#object(`${about} was not written at its end`)
    const held = before.holder?.sha === sha ? before.holder : undefined
    const granted = held ?? (after.holder?.sha === sha ? after.holder : undefined)
    const truly: Record<PastRequest['as'], boolean> = {
      success: after.holder?.fence === fence && after.holder?.completed !== undefined,
      failure: after.holder?.fence !== fence && this.#releaseSent.has(sha),
      expired: after.holder?.fence !== fence && fence !== undefined,
      completed: this.#covered.has(sha) && fence === undefined,
      withdrawn: this.#releaseSent.has(sha) && fence === undefined,
      evicted: fence === undefined,
      cleared: this.#clearing,
    }
    if (!truly[as]) this.#object(`${about} is not what happened`)
    if (fence === undefined) return
    if (this.#grants.get(fence) !== sha) this.#object(`${about} has the fence of another`)
    if (granted !== undefined && granted.grantedAt !== record.grantedAt)
      this.#object(`${about} has not the time of its grant`)
  }

  /** Whoever is known no longer has a record; so has a holder that has succeeded. */
  #unnoted(before: StoredHeader, after: StoredHeader, inserted: readonly Entry[]): void {
    for (const [sha, { seq }] of this.#previous) {
      if (this.#entries.get(sha)?.seq === seq || this.past.has(seq)) continue
      this.#object(`${sha} is gone without a record in history`)
    }
    for (const { seq, sha } of this.#entries.values()) {
      const succeeded = after.holder?.sha === sha && after.holder.completed !== undefined
      if (this.past.has(seq) !== succeeded) {
        this.#object(
          `${sha} is known${succeeded ? ', has succeeded' : ''}, and history ${succeeded ? 'lacks' : 'has'} it`,
        )
      }
    }
    const ended = before.holder
    if (ended === undefined || ended.fence === after.holder?.fence) return
    const mine = [...this.past.values()].filter(({ fence }) => fence === ended.fence)
    // One that came and went within this commit was never seen to hold.
    if (mine.length !== 1 && !inserted.some(({ sha }) => sha === ended.sha))
      this.#object(`the hold ${ended.fence} of ${ended.sha} is over and has ${mine.length} records`)
  }

  #success({ holder, batch }: StoredHeader): void {
    if (holder === undefined) return
    if (!this.#releaseSent.has(holder.sha)) this.#object(`${holder.sha} succeeded without a release`)
    this.#succeeded.add(holder.sha)
    for (const { sha, priority } of this.#entries.values()) {
      if (sha !== holder.sha && priority < holder.priority) this.#covered.set(sha, batch)
    }
    for (const [sha, priority] of this.#gone) if (priority < holder.priority) this.#covered.set(sha, batch)
  }

  #object(what: string): void {
    this.violations.push(what)
  }

  /** The clear has been answered. */
  cleared(): void {
    this.#clearing = false
  }
}
