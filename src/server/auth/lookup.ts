/**
 * From a secret's hash to its token, with a memory of a few seconds.
 *
 * Invariants: what is answered was read from the store at most `FRESH_MS` ago; after `forget` nothing read before it is
 * answered, also not to those who were already waiting for a read. Only tokens that exist are remembered, so guesses
 * cannot fill the memory, and a new token works at once everywhere.
 */
import type { Clock } from '../../kernel/clock.ts'
import type { Principal } from '../../ports/access.ts'
import type { Store, Version } from '../../ports/store.ts'
import { principalOf, tokenKey, type TokenRecord } from './records.ts'

/** How long another server may still accept a token that was revoked here. */
export const FRESH_MS = 5_000
const REMEMBERED = 10_000

export interface FoundToken {
  readonly hash: string
  readonly record: TokenRecord
  readonly version: Version
  readonly principal: Principal
}

interface Remembered {
  readonly token: FoundToken
  /** Monotonic time before the read began. */
  readonly readAt: number
}

export class TokenLookup {
  readonly #store: Store
  readonly #clock: Clock
  readonly #remembered = new Map<string, Remembered>()
  readonly #reading = new Map<string, Promise<Remembered | undefined>>()

  constructor(store: Store, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** Undefined for a token that does not exist; one that is revoked or expired is still found. */
  find(hash: string): FoundToken | Promise<FoundToken | undefined> {
    const known = this.#remembered.get(hash)
    if (known !== undefined && this.#clock.monotonic() - known.readAt < FRESH_MS) return known.token
    const reading = this.#reading.get(hash)
    return reading === undefined ? this.#remember(hash) : reading.then((found) => found?.token)
  }

  /** Call it after the record was changed. */
  forget(hash: string): void {
    this.#remembered.delete(hash)
    this.#reading.delete(hash)
  }

  async #remember(hash: string): Promise<FoundToken | undefined> {
    const reading = this.#read(hash)
    this.#reading.set(hash, reading)
    try {
      const found = await reading
      // Forgotten meanwhile: this may be from before the change. Whoever asked before it was not promised more.
      if (this.#reading.get(hash) !== reading) return found?.token
      if (this.#remembered.size >= REMEMBERED) this.#remembered.clear()
      if (found === undefined) this.#remembered.delete(hash)
      else this.#remembered.set(hash, found)
      return found?.token
    } finally {
      if (this.#reading.get(hash) === reading) this.#reading.delete(hash)
    }
  }

  async #read(hash: string): Promise<Remembered | undefined> {
    const readAt = this.#clock.monotonic()
    const found = await this.#store.get(tokenKey(hash))
    if (found === undefined) return undefined
    const record = found.value as unknown as TokenRecord
    if (record.hash !== hash) return undefined // another one, whose hash begins alike
    return { token: { hash, record, version: found.version, principal: principalOf(record) }, readAt }
  }
}
