/**
 * Notes when a token was last used, at most once an hour and never while a call waits for it.
 *
 * Invariant: the note expects the version of the record it saw, so it can never undo a revocation. A note that fails is
 * dropped: the next use makes another.
 */
import type { Store } from '../../ports/store.ts'
import type { FoundToken } from './lookup.ts'
import { putToken } from './records.ts'

const EXACT_TO_MS = 3_600_000
const REMEMBERED = 10_000

export class LastUse {
  readonly #store: Store
  readonly #noted: (hash: string) => void
  /** Notes under way, and when the last one of each token was tried. */
  readonly #writing = new Map<string, Promise<void>>()
  readonly #tried = new Map<string, number>()

  /** @param noted called when a token's record has another version than before */
  constructor(store: Store, noted: (hash: string) => void) {
    this.#store = store
    this.#noted = noted
  }

  note(token: FoundToken, now: number): void {
    const { hash, record } = token
    const last = Math.max(record.lastUsedAt ?? 0, this.#tried.get(hash) ?? 0)
    if (now - last < EXACT_TO_MS) return
    if (this.#tried.size >= REMEMBERED) this.#tried.clear()
    this.#tried.set(hash, now)
    this.#writing.set(hash, this.#write(token, now))
  }

  /** Resolves when nothing is being written any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#writing.values())
  }

  async #write({ hash, record, version }: FoundToken, now: number): Promise<void> {
    try {
      const { ok } = await this.#store.commit([putToken({ ...record, lastUsedAt: now }, { version })])
      if (ok) this.#noted(hash)
    } catch {
      // Told to nobody: a store that cannot write is reported by the calls that need it.
    } finally {
      this.#writing.delete(hash)
    }
  }
}
