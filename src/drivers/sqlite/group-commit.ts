/**
 * Group commit: what is submitted within one turn of the event loop runs in one transaction, and nobody is answered
 * before that is durable. One fsync then serves hundreds of commits.
 *
 * Invariants:
 * - closures run one after another in the order of submission, each exactly once, each seeing what those before it wrote;
 * - a closure that throws undoes its own writes and fails alone; a transaction that fails fails all its closures;
 * - every submission is answered exactly once, never before its transaction has ended;
 * - one flush does a bounded amount of work, then lets the event loop turn.
 */
import { SignalboxError } from '../../kernel/error.ts'

/** What the queue needs of a database. All of it is synchronous. */
export interface Transactor {
  readonly inTransaction: boolean
  begin(): void
  /** Runs a closure; if it throws, its writes are undone, or else the whole transaction is rolled back. */
  isolated<T>(run: (db: this) => T): T
  /** Returns once applied and durable. @throws `unavailable` (not applied) or `outcome_unknown` */
  commit(): void
  rollback(): void
}

export interface GroupCommitOptions {
  /** False gives each submission a transaction of its own (for comparison); default true. */
  readonly grouped?: boolean
  /** Work of one flush; default 2,000 changes, 16 MiB. A single larger submission still runs, alone. */
  readonly maxChanges?: number
  readonly maxBytes?: number
  /** What may wait; beyond that `submit` throws `throttled`. Default 100,000 submissions, 256 MiB. */
  readonly maxWaiting?: number
  readonly maxWaitingBytes?: number
}

interface Job<D> {
  readonly run: (db: D) => unknown
  readonly changes: number
  readonly bytes: number
  readonly resolve: (value: never) => void
  readonly reject: (error: unknown) => void
  result: unknown
  failed: boolean
}

const MIB = 1024 * 1024

export class GroupCommit<D extends Transactor> {
  readonly #db: D
  readonly #maxJobs: number
  readonly #maxChanges: number
  readonly #maxBytes: number
  readonly #maxWaiting: number
  readonly #maxWaitingBytes: number
  #waiting: Job<D>[] = []
  #waitingBytes = 0
  #scheduled = false
  #closed: PromiseWithResolvers<void> | undefined
  #transactions = 0
  #commits = 0

  constructor(db: D, options: GroupCommitOptions = {}) {
    this.#db = db
    this.#maxJobs = options.grouped === false ? 1 : Infinity
    this.#maxChanges = options.maxChanges ?? 2_000
    this.#maxBytes = options.maxBytes ?? 16 * MIB
    this.#maxWaiting = options.maxWaiting ?? 100_000
    this.#maxWaitingBytes = options.maxWaitingBytes ?? 256 * MIB
  }

  /** Transactions made durable, and closures answered with success in them, since the start. */
  get facts(): { readonly transactions: number; readonly commits: number } {
    return { transactions: this.#transactions, commits: this.#commits }
  }

  /**
   * Runs `run` in the next shared transaction.
   * @param run reads and writes through the database it is given, synchronously; what it throws is the answer.
   * @param changes and `bytes`: roughly how much it writes.
   * @throws SignalboxError `throttled`, `unavailable` (not applied), `outcome_unknown`
   */
  submit<T>(run: (db: D) => T, changes: number, bytes: number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed !== undefined) throw new SignalboxError('unavailable', 'the store is closed')
      if (this.#waiting.length >= this.#maxWaiting || this.#waitingBytes > this.#maxWaitingBytes) {
        throw new SignalboxError('throttled', `${this.#waiting.length} commits wait for the disk already`)
      }
      this.#waiting.push({ run, changes, bytes, resolve, reject, result: undefined, failed: false })
      this.#waitingBytes += bytes
      this.#schedule()
    })
  }

  /** Answers what was submitted; later submissions throw `unavailable`. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= Promise.withResolvers<void>()
    if (this.#waiting.length === 0) this.#closed.resolve()
    return this.#closed.promise
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#flush)
  }

  readonly #flush = (): void => {
    this.#scheduled = false
    const jobs = this.#take()
    try {
      this.#transact(jobs)
    } catch (error) {
      for (const job of jobs) job.reject(error)
    }
    if (this.#waiting.length > 0) this.#schedule()
    else this.#closed?.resolve()
  }

  /** The oldest submissions whose work fits one flush; at least one. */
  #take(): Job<D>[] {
    let count = 0
    let changes = 0
    let bytes = 0
    for (const job of this.#waiting) {
      changes += job.changes
      bytes += job.bytes
      if (count > 0 && (count === this.#maxJobs || changes > this.#maxChanges || bytes > this.#maxBytes))
        break
      this.#waitingBytes -= job.bytes
      count += 1
    }
    return this.#waiting.splice(0, count)
  }

  /** @throws what fails all jobs alike; none of them is answered then. */
  #transact(jobs: readonly Job<D>[]): void {
    const db = this.#db
    db.begin()
    for (const job of jobs) {
      try {
        job.result = db.isolated(job.run)
      } catch (error) {
        if (!db.inTransaction) throw error
        job.failed = true
        job.result = error
      }
    }
    db.commit()
    this.#transactions += 1
    for (const job of jobs) {
      if (job.failed) {
        job.reject(job.result)
      } else {
        this.#commits += 1
        job.resolve(job.result as never)
      }
    }
  }
}
