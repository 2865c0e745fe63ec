/**
 * Commits. One request where every expectation can stand as a precondition of a write; otherwise, or when such a request
 * fails in a way that an expired record may explain, a transaction that reads and judges the expectations here.
 *
 * | expectation | as a precondition |
 * |---|---|
 * | put `absent` | the document must not exist; an expired one does, so ALREADY_EXISTS leads to a transaction |
 * | put, delete `{ version }` | its update time, if the version cannot have expired by the time of the commit |
 * | put, delete `present` | the update time of the version we know, on the same condition; else a transaction |
 * | any `check`, delete `absent` | none: a transaction |
 *
 * Invariants: all or nothing, in either form; what the engine ABORTs was not applied (Firestore: "retry the request";
 * for a transaction "retry the entire transaction"), so it is tried again a few times; anything else is sent once.
 */
import { backoffDelay } from '../../kernel/backoff.ts'
import { sleep } from '../../kernel/clock.ts'
import type { Change, CommitResult, Key, Version } from '../../ports/store.ts'
import { holds } from '../shared/expect.ts'
import type { Connection } from './connection.ts'
import { formatVersion, live, parseVersion, type Documents, type Found } from './documents.ts'
import { isAborted, status, statusOf } from './errors.ts'
import type { KnownVersions } from './known.ts'
import { toMs, type BatchGetResponse, type CommitResponse, type Precondition, type Write } from './wire.ts'

const ATTEMPTS = 6
const BACKOFF = { baseMs: 20, maxMs: 500 }

type Encoded = readonly (string | undefined)[]

interface Plan {
  readonly writes: readonly Write[]
  /** A `present` stands in it as the version we know. */
  readonly guessed: boolean
}

/** Tells that the engine aborted; nothing was applied. */
const ABORTED = Symbol('aborted')

export class Commits {
  readonly #connection: Connection
  readonly #documents: Documents
  readonly #known: KnownVersions
  readonly #rollbacks = new Set<Promise<void>>()

  constructor(connection: Connection, documents: Documents, known: KnownVersions) {
    this.#connection = connection
    this.#documents = documents
    this.#known = known
  }

  /** @param encoded the values as JSON text, by index (from `checkCommit`). */
  async commit(changes: readonly Change[], encoded: Encoded): Promise<CommitResult> {
    const plan = this.#plan(changes, encoded)
    if (plan !== undefined) {
      const result = await this.#untilNotAborted(() => this.#send(plan, changes))
      if (result !== 'judge') return result
    }
    let retried: Uint8Array | undefined
    const result = await this.#untilNotAborted(() =>
      this.#transact(changes, encoded, retried, (transaction) => (retried = transaction)),
    )
    return result
  }

  /** Resolves once no transaction is being rolled back any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#rollbacks)
  }

  async #untilNotAborted<T>(attempt: () => Promise<T | typeof ABORTED>): Promise<T | CommitResult> {
    for (let failures = 0; ; failures++) {
      const result = await attempt()
      if (result !== ABORTED) return result
      if (failures + 1 >= ATTEMPTS) return { ok: false, failed: 'unknown' }
      await sleep(this.#connection.clock, backoffDelay(BACKOFF, failures, this.#connection.random))
    }
  }

  /** One request for the whole commit, or undefined when it takes a transaction. */
  #plan(changes: readonly Change[], encoded: Encoded): Plan | undefined {
    let guessed = false
    const writes: Write[] = []
    for (const [i, change] of changes.entries()) {
      const name = this.#documents.name(change.key)
      const precondition = this.#precondition(change, name)
      if (precondition === undefined) return undefined
      if (change.expect === 'present') guessed = true
      writes.push(this.#write(change, name, encoded[i], precondition))
    }
    return { writes, guessed }
  }

  #precondition({ op, expect }: Change, name: string): Precondition | undefined {
    if (op === 'check') return undefined
    if (expect === 'absent') return op === 'put' ? { exists: false } : undefined
    const version = expect === 'present' ? this.#known.get(name) : expect.version
    const parsed = version === undefined ? undefined : parseVersion(version)
    if (parsed === undefined) return undefined
    if (parsed.expiresAt !== undefined) {
      const { ms, uncertaintyMs } = this.#connection.now()
      // A commit may reach the engine as late as it may take: until then the record must live.
      if (parsed.expiresAt <= ms + uncertaintyMs + this.#connection.timeoutMs) return undefined
    }
    return { updateTime: parsed.updateTime }
  }

  #write(change: Change, name: string, json: string | undefined, currentDocument?: Precondition): Write {
    const guard = currentDocument === undefined ? {} : { currentDocument }
    if (change.op !== 'put') return { delete: name, ...guard }
    const fields = this.#documents.fields(change, json as string, this.#connection.random.id())
    return { update: { name, fields }, ...guard }
  }

  /** @returns `judge` when only a transaction can tell whether the expectations hold. */
  async #send(plan: Plan, changes: readonly Change[]): Promise<CommitResult | 'judge' | typeof ABORTED> {
    try {
      const { database } = this.#documents
      return this.#applied(changes, await this.#connection.commit({ database, writes: plan.writes }))
    } catch (error) {
      const code = statusOf(error)
      if (code === undefined) throw error
      if (isAborted(error)) return ABORTED
      for (const { key } of changes) this.#known.delete(this.#documents.name(key))
      // The document that is there may have expired, the version that we know may be old.
      if (code === status.ALREADY_EXISTS || plan.guessed) return 'judge'
      const [only] = changes
      return { ok: false, failed: changes.length === 1 && only !== undefined ? [only.key] : 'unknown' }
    }
  }

  /** @param begun is told of the transaction: a repeated one inherits its age, and so its place in line. */
  async #transact(
    changes: readonly Change[],
    encoded: Encoded,
    retryTransaction: Uint8Array | undefined,
    begun: (transaction: Uint8Array) => void,
  ): Promise<CommitResult | typeof ABORTED> {
    const { database } = this.#documents
    const names = changes.map(({ key }) => this.#documents.name(key))
    const writing = changes.some(({ op, expect }) => op === 'put' || (op === 'delete' && expect !== 'absent'))
    const newTransaction = { readWrite: retryTransaction === undefined ? {} : { retryTransaction } }
    try {
      const answers = await this.#connection.batchGet({
        database,
        documents: names,
        ...(writing ? { newTransaction } : {}),
      })
      const transaction = answers.find((answer) => (answer.transaction?.length ?? 0) > 0)?.transaction
      if (transaction !== undefined) begun(transaction)
      const failed = this.#judge(changes, names, answers)
      if (failed.length > 0) {
        if (transaction !== undefined) this.#rollback(transaction)
        return { ok: false, failed }
      }
      if (transaction === undefined) return { ok: true, versions: changes.map(() => undefined) }
      const writes = changes.flatMap((change, i) =>
        isWrite(change) ? [this.#write(change, names[i] as string, encoded[i])] : [],
      )
      return this.#applied(changes, await this.#connection.commit({ database, writes, transaction }))
    } catch (error) {
      if (isAborted(error)) return ABORTED
      throw this.#connection.translate(error, 'Commit')
    }
  }

  /** The keys whose expectation does not hold, judged by the engine's time of each read. */
  #judge(changes: readonly Change[], names: readonly string[], answers: readonly BatchGetResponse[]): Key[] {
    const found = new Map<
      string,
      { readonly document: NonNullable<BatchGetResponse['found']>; readonly at: number }
    >()
    for (const { found: document, readTime } of answers) {
      if (document)
        found.set(document.name, { document, at: readTime ? toMs(readTime) : this.#connection.now().ms })
    }
    return changes.flatMap(({ key, expect }, i) => {
      const there = found.get(names[i] as string)
      const record: Found | undefined = there && this.#documents.read(key, there.document)
      return holds(expect, live(record, there?.at ?? 0)?.version) ? [] : [key]
    })
  }

  #applied(changes: readonly Change[], { writeResults, commitTime }: CommitResponse): CommitResult {
    let next = 0
    const versions = changes.map((change): Version | undefined => {
      if (!isWrite(change)) return undefined
      const result = writeResults[next++]
      const name = this.#documents.name(change.key)
      if (change.op !== 'put') {
        this.#known.delete(name)
        return undefined
      }
      const version = formatVersion(result?.updateTime ?? commitTime, change.expiresAt)
      this.#known.set(name, version)
      return version
    })
    return { ok: true, versions }
  }

  #rollback(transaction: Uint8Array): void {
    const ended = this.#connection
      .rollback(this.#documents.database, transaction)
      .finally(() => this.#rollbacks.delete(ended))
    this.#rollbacks.add(ended)
  }
}

/** Does it write anything? A delete of what must be absent only asserts. */
function isWrite({ op, expect }: Change): boolean {
  return op === 'put' || (op === 'delete' && expect !== 'absent')
}
