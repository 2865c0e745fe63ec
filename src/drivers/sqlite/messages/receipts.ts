/**
 * Receipts: what a receive gives out and a delete brings back.
 *
 * Invariants: each receive of a message draws a token of its own at random, so that nobody can make up the receipt of
 * somebody else's message; what is remembered of ended receipts is bounded.
 */
import { randomFillSync } from 'node:crypto'

/** Six bytes: exact in a JavaScript number and in a column of six bytes. */
const TOKEN_BYTES = 6
const DRAWN_AT_ONCE = 512
const RECEIPT = /^\d{1,16}\.\d{1,15}L?$/

/** Random tokens, drawn in bulk. */
export class Tokens {
  readonly #pool = Buffer.alloc(TOKEN_BYTES * DRAWN_AT_ONCE)
  #at = this.#pool.length

  next(): number {
    if (this.#at === this.#pool.length) {
      randomFillSync(this.#pool)
      this.#at = 0
    }
    const token = this.#pool.readUIntBE(this.#at, TOKEN_BYTES)
    this.#at += TOKEN_BYTES
    return token
  }
}

export interface Receipt {
  /** Of the row. */
  readonly id: number
  readonly token: number
  /** The body lies in `message_bodies`; without it a delete is one statement. */
  readonly large: boolean
}

export function formatReceipt({ id, token, large }: Receipt): string {
  return large ? `${id}.${token}L` : `${id}.${token}`
}

/** Undefined when the text never was a receipt of this engine. */
export function parseReceipt(text: string): Receipt | undefined {
  if (!RECEIPT.test(text)) return undefined
  const dot = text.indexOf('.')
  const large = text.endsWith('L')
  const token = Number(large ? text.slice(dot + 1, -1) : text.slice(dot + 1))
  return { id: Number(text.slice(0, dot)), token, large }
}

/** The latest deletes, so that a repeated one is told the same. */
export class RecentDeletes {
  readonly #limit: number
  #young = new Set<number>()
  #old = new Set<number>()

  /** @param limit remembers at least so many, and at most twice as many. */
  constructor(limit: number) {
    this.#limit = limit
  }

  add(token: number): void {
    if (this.#young.size >= this.#limit) {
      this.#old = this.#young
      this.#young = new Set()
    }
    this.#young.add(token)
  }

  has(token: number): boolean {
    return this.#young.has(token) || this.#old.has(token)
  }
}
