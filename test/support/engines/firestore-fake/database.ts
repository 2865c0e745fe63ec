/**
 * One database of the fake: documents in all their versions, atomic commits, transactions.
 *
 * Invariants, each documented for Firestore:
 * - commit times strictly increase, and update times with them, and lie after the time of every read that did not see
 *   the commit; a write that changes nothing advances no update time;
 * - a commit applies all of its writes or none, in order;
 * - transactions are serialisable. Of Firestore's two ways, locks and validation, it takes validation: a transaction
 *   reads as of its first read, and its commit is ABORTED when anything it read (missing documents and results of
 *   queries included) has changed since. So a client that does not expect ABORTED shows.
 */
import { isDeepStrictEqual } from 'node:util'
import { code, Status, type Message } from './protocol.ts'
import { checkIndex, evaluate, matches, type Index, type Query } from './queries.ts'
import { fromTimestamp, normalised, toTimestamp, type Stored } from './values.ts'

interface Version {
  readonly at: bigint
  /** Undefined: deleted. */
  readonly document: Stored | undefined
}

interface Transaction {
  readonly readOnly: boolean
  readonly readAt: bigint
  readonly names: Set<string>
  readonly queries: Query[]
}

/** Told of each commit that changed something. */
export type OnCommit = (at: bigint, names: ReadonlySet<string>) => void

const MAX_DOCUMENT_BYTES = 1_048_576
const MAX_ID_BYTES = 1_500

export class Database {
  readonly listeners = new Set<OnCommit>()
  readonly #versions = new Map<string, Version[]>()
  readonly #transactions = new Map<string, Transaction>()
  readonly #now: () => bigint
  readonly #indexes: readonly Index[] | undefined
  #lastCommit = 0n
  /** Of all reads and commits. */
  #latest = 0n
  #lastTransaction = 0

  /** @param now in microseconds. @param indexes composite indexes; without them every query is served. */
  constructor(now: () => bigint, indexes: readonly Index[] | undefined) {
    this.#now = now
    this.#indexes = indexes
  }

  /** The time of a read that starts now. */
  readTime(): bigint {
    const now = this.#now()
    if (now > this.#latest) this.#latest = now
    return this.#latest
  }

  begin(options: Message): Buffer {
    const id = Buffer.from(`transaction ${++this.#lastTransaction}`)
    const readOnly = Boolean(options?.readOnly)
    const at = options?.readOnly?.readTime
    const readAt = at ? fromTimestamp(at) : this.readTime()
    this.#transactions.set(id.toString(), { readOnly, readAt, names: new Set(), queries: [] })
    return id
  }

  rollback(id: Buffer): void {
    if (!this.#transactions.delete(id.toString())) throw unknownTransaction()
  }

  /** When a read with this request's selector takes place. */
  readAt(request: Message): bigint {
    if (request.transaction?.length > 0) return this.#transaction(request.transaction).readAt
    return request.readTime ? fromTimestamp(request.readTime) : this.readTime()
  }

  get(name: string, at: bigint, transaction?: Buffer): Stored | undefined {
    if (transaction && transaction.length > 0) this.#transaction(transaction).names.add(name)
    return this.#at(name, at)
  }

  query(query: Query, at: bigint, transaction?: Buffer): Stored[] {
    if (this.#indexes !== undefined) checkIndex(query, this.#indexes)
    if (transaction && transaction.length > 0) this.#transaction(transaction).queries.push(query)
    return evaluate(query, this.documents(at))
  }

  /** All documents as of a time. */
  *documents(at: bigint): Generator<Stored> {
    for (const name of this.#versions.keys()) {
      const document = this.#at(name, at)
      if (document !== undefined) yield document
    }
  }

  commit(
    writes: readonly Message[],
    transaction: Buffer,
  ): { readonly writeResults: Message[]; readonly at: bigint } {
    if (transaction?.length > 0) this.#validate(transaction, writes)
    const now = this.#now()
    const at = now > this.#latest ? now : this.#latest + 1n
    const changed = new Map<string, Stored | undefined>()
    const current = (name: string): Stored | undefined =>
      changed.has(name) ? changed.get(name) : this.#at(name, this.#lastCommit)
    const writeResults = writes.map((write) => {
      const name = nameOf(write)
      const before = current(name)
      checkPrecondition(name, before, write.currentDocument)
      if (write.delete) {
        changed.set(name, undefined)
        return { updateTime: null, transformResults: [] }
      }
      const fields = normalised(write.update.fields)
      checkSize(name, fields)
      const same = before !== undefined && isDeepStrictEqual(before.fields, fields)
      const after = same ? before : { name, fields, createdAt: before?.createdAt ?? at, updatedAt: at }
      changed.set(name, after)
      return { updateTime: toTimestamp(after.updatedAt), transformResults: [] }
    })
    this.#apply(at, changed)
    return { writeResults, at }
  }

  #apply(at: bigint, changed: ReadonlyMap<string, Stored | undefined>): void {
    const previous = this.#lastCommit
    const names = new Set<string>()
    for (const [name, document] of changed) {
      if (this.#at(name, previous) === document) continue
      const versions = this.#versions.get(name)
      if (versions === undefined) this.#versions.set(name, [{ at, document }])
      else versions.push({ at, document })
      names.add(name)
    }
    this.#lastCommit = at
    this.#latest = at
    if (names.size > 0) for (const listener of this.listeners) listener(at, names)
  }

  #validate(id: Buffer, writes: readonly Message[]): void {
    const transaction = this.#transaction(id)
    this.#transactions.delete(id.toString())
    if (transaction.readOnly && writes.length > 0) {
      throw new Status(code.INVALID_ARGUMENT, 'Cannot modify entities in a read-only transaction.')
    }
    if (transaction.readOnly) return
    for (const [name, versions] of this.#versions) {
      if ((versions.at(-1)?.at ?? 0n) <= transaction.readAt) continue
      const states = versions.filter(({ at }) => at > transaction.readAt).map(({ document }) => document)
      states.push(this.#at(name, transaction.readAt))
      const read = (query: Query): boolean =>
        states.some((state) => state !== undefined && matches(query, state))
      if (transaction.names.has(name) || transaction.queries.some(read)) {
        throw new Status(
          code.ABORTED,
          'Transaction lock timeout or contention; please retry the transaction.',
        )
      }
    }
  }

  #at(name: string, at: bigint): Stored | undefined {
    return this.#versions.get(name)?.findLast((version) => version.at <= at)?.document
  }

  #transaction(id: Buffer): Transaction {
    const transaction = this.#transactions.get(id.toString())
    if (transaction === undefined) throw unknownTransaction()
    return transaction
  }
}

function nameOf(write: Message): string {
  if (write.updateMask || write.updateTransforms?.length > 0 || write.transform) {
    throw new Status(code.UNIMPLEMENTED, 'the fake takes whole updates and deletes')
  }
  const name: string = write.update ? write.update.name : write.delete
  const id = name.split('/').at(-1) ?? ''
  if (id === '' || Buffer.byteLength(id) > MAX_ID_BYTES || /^(?:\.\.?|__.*__)$/.test(id)) {
    throw new Status(code.INVALID_ARGUMENT, `Document id '${id.slice(0, 40)}' is not allowed.`)
  }
  return name
}

function checkPrecondition(name: string, before: Stored | undefined, precondition: Message): void {
  if (!precondition) return
  if (precondition.exists === false && before !== undefined) {
    throw new Status(code.ALREADY_EXISTS, `Document already exists: ${name}`)
  }
  if (precondition.exists === true && before === undefined) {
    throw new Status(code.NOT_FOUND, `No document to update: ${name}`)
  }
  if (!precondition.updateTime) return
  if (before?.updatedAt === fromTimestamp(precondition.updateTime)) return
  throw new Status(
    code.FAILED_PRECONDITION,
    `the stored version of ${name} does not match the required base version`,
  )
}

function checkSize(name: string, fields: Message): void {
  if (JSON.stringify(fields).length <= MAX_DOCUMENT_BYTES) return
  throw new Status(
    code.INVALID_ARGUMENT,
    `Document ${name} exceeds the maximum allowed size of 1,048,576 bytes.`,
  )
}

function unknownTransaction(): Status {
  return new Status(code.INVALID_ARGUMENT, 'The referenced transaction has expired or is no longer valid.')
}
