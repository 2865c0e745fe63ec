/**
 * A partition to try things in, which nobody else knows. What is tried there is removed again; should that fail, the records
 * expire.
 *
 * Invariant: a key counts as written from before the attempt until a delete of it was answered.
 */
import type { Random } from '../../../kernel/id.ts'
import {
  decimalKey,
  type Change,
  type CommitResult,
  type Expect,
  type Key,
  type Store,
} from '../../../ports/store.ts'

const LIFE_MS = 600_000
const ATTEMPTS = 2

export class Trial {
  readonly partition: string
  readonly store: Store
  readonly #written = new Set<string>()

  constructor(store: Store, random: Random) {
    this.store = store
    this.partition = `signalbox:doctor:${random.id()}`
  }

  key(n: number): Key {
    return [this.partition, decimalKey(n)]
  }

  put(n: number, expect: Expect): Change {
    return {
      key: this.key(n),
      expect,
      op: 'put',
      value: { doctor: true },
      expiresAt: this.store.now().ms + LIFE_MS,
    }
  }

  async commit(changes: readonly Change[]): Promise<CommitResult> {
    for (const { op, key } of changes) if (op === 'put') this.#written.add(key[1])
    return this.store.commit(changes)
  }

  /** Removes one record, whether it is there or not. */
  async remove(n: number): Promise<void> {
    const key = this.key(n)
    await this.store.commit([{ key, expect: 'present', op: 'delete' }])
    this.#written.delete(key[1])
  }

  /** Removes what may still be there. @returns is it all gone? */
  async clear(): Promise<boolean> {
    for (let attempt = 0; attempt < ATTEMPTS && this.#written.size > 0; attempt++) {
      for (const key of this.#written) await this.remove(Number(key)).catch(() => undefined)
    }
    return this.#written.size === 0
  }
}
