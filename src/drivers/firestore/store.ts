/**
 * The store port on Firestore: one collection holds all partitions (`documents.ts`), commits are preconditions or
 * transactions (`commits.ts`), pages are queries (`pages.ts`), watches share a listener (`watches.ts`).
 *
 * Invariants: what is expired is judged by the engine's own time, where a read tells it by that of the very read; after
 * `close()` nothing is under way and no timer or socket keeps the process.
 */
import { SignalboxError } from '../../kernel/error.ts'
import { checkCommit, checkKey, checkListOptions, checkRange } from '../../ports/store-checks.ts'
import {
  portableLimits,
  type Change,
  type CommitResult,
  type Key,
  type ListOptions,
  type Page,
  type Range,
  type Store,
  type StoredRecord,
  type StoreLimits,
} from '../../ports/store.ts'
import { Commits } from './commits.ts'
import type { Connection } from './connection.ts'
import { live, type Documents } from './documents.ts'
import { KnownVersions } from './known.ts'
import { Listener } from './listener.ts'
import { Pages } from './pages.ts'
import { Watches } from './watches.ts'
import { toMs } from './wire.ts'

export class FirestoreStore implements Store {
  readonly limits: StoreLimits
  readonly #connection: Connection
  readonly #documents: Documents
  readonly #known = new KnownVersions()
  readonly #commits: Commits
  readonly #pages: Pages
  readonly #watches: Watches
  readonly #underWay = new Set<Promise<unknown>>()
  #closed: Promise<void> | undefined

  constructor(connection: Connection, documents: Documents) {
    this.limits = { ...portableLimits, keys: documents.keys }
    this.#connection = connection
    this.#documents = documents
    this.#commits = new Commits(connection, documents, this.#known)
    this.#pages = new Pages(connection, documents)
    this.#watches = new Watches(new Listener(connection, documents.database), documents, this.#pages)
  }

  async get(key: Key): Promise<StoredRecord | undefined> {
    this.#assertOpen()
    checkKey(key, this.limits.keys)
    return this.#perform(this.#get([key[0], key[1]]))
  }

  async list(range: Range, options: ListOptions): Promise<Page> {
    this.#assertOpen()
    checkRange(range, this.limits.keys)
    checkListOptions(options, this.limits.keys)
    return this.#perform(this.#pages.list({ ...range }, { ...options }))
  }

  async commit(changes: readonly Change[]): Promise<CommitResult> {
    this.#assertOpen()
    const encoded = checkCommit(changes, this.limits)
    return this.#perform(this.#commits.commit(changes.map(copied), encoded))
  }

  async deleteRange(range: Range, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#assertOpen()
    checkRange(range, this.limits.keys)
    const mayGoOn = (): void => {
      options.signal?.throwIfAborted()
      this.#assertOpen()
    }
    return this.#perform(this.#pages.deleteRange({ ...range }, mayGoOn))
  }

  watch(range: Range, signal: AbortSignal): AsyncIterable<void> {
    this.#assertOpen()
    checkRange(range, this.limits.keys)
    return this.#watches.watch({ ...range }, signal)
  }

  now(): { readonly ms: number; readonly uncertaintyMs: number } {
    this.#assertOpen()
    return this.#connection.now()
  }

  close(): Promise<void> {
    this.#closed ??= this.#release()
    return this.#closed
  }

  async #get(key: Key): Promise<StoredRecord | undefined> {
    const { database } = this.#documents
    const name = this.#documents.name(key)
    const answers = await this.#connection
      .batchGet({ database, documents: [name] })
      .catch((error: unknown) => {
        throw this.#connection.translate(error, 'BatchGetDocuments')
      })
    const answer = answers.find(({ found }) => found)
    if (!answer?.found) return undefined
    const found = this.#documents.read(key, answer.found)
    this.#known.set(name, found.version)
    return live(found, answer.readTime === null ? this.#connection.now().ms : toMs(answer.readTime))
  }

  async #release(): Promise<void> {
    this.#watches.close()
    await Promise.allSettled(this.#underWay)
    await this.#commits.settled()
    await this.#connection.close()
  }

  #perform<T>(performed: Promise<T>): Promise<T> {
    this.#underWay.add(performed)
    const done = (): unknown => this.#underWay.delete(performed)
    performed.then(done, done)
    return performed
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new SignalboxError('unavailable', 'the store is closed')
  }
}

/** A change as it is now, whatever the caller does to its objects afterwards; the value is encoded already. */
function copied(change: Change): Change {
  const { key, expect } = change
  return { ...change, key: [key[0], key[1]], expect: typeof expect === 'string' ? expect : { ...expect } }
}
