/**
 * The changes of one commit while rules are adding to them: at most one a key. A later change of the same key keeps
 * the first expectation and takes the last effect; what was created and deleted again vanishes.
 */
import type { Change, Expect, Json, Key } from '../ports/store.ts'

export class ChangeSet {
  readonly #changes = new Map<string, Change>()

  get size(): number {
    return this.#changes.size
  }

  put(key: Key, expect: Expect, value: Json, expiresAt?: number): void {
    this.#add(
      expiresAt === undefined
        ? { op: 'put', key, expect, value }
        : { op: 'put', key, expect, value, expiresAt },
    )
  }

  delete(key: Key, expect: Expect): void {
    this.#add({ op: 'delete', key, expect })
  }

  check(key: Key, expect: Expect): void {
    const before = this.#changes.get(nameOf(key))
    const undone = before?.op === 'put' && before.expect === 'absent' && expect === 'absent'
    if (before === undefined || undone) this.#changes.set(nameOf(key), { op: 'check', key, expect })
  }

  toChanges(): Change[] {
    return [...this.#changes.values()]
  }

  #add(change: Change): void {
    const name = nameOf(change.key)
    const before = this.#changes.get(name)
    if (before === undefined) this.#changes.set(name, change)
    else if (before.expect === 'absent' && change.op === 'delete') this.#changes.delete(name)
    else this.#changes.set(name, { ...change, expect: before.expect })
  }
}

function nameOf(key: Key): string {
  return `${key[0]}\n${key[1]}`
}
