/**
 * Exactly-once effects: what a job changes and the record that it did so are one commit, which expects that record to be
 * absent. So of all attempts of a job, concurrent ones included, exactly one takes effect.
 */
import { hash } from 'node:crypto'
import type { Clock } from '../kernel/clock.ts'
import { isSignalboxError } from '../kernel/error.ts'
import { decimalKey, type Change, type Key, type Store } from '../ports/store.ts'
import type { Effect, EffectResult } from './api.ts'

/** Longer than a message lives (14 days at most), redrives of the last moment included. */
const KEEP_MS = 15 * 24 * 3_600_000
/** An id that a foreign system made may be anything. */
const PLAIN_ID = /^[\x21-\x7e]{1,100}$/

/** A partition each: no store has a busy one, and a table with a numeric range key can hold it. */
function effectKey(job: string, id: string): Key {
  return [`signalbox:eff:${job}:${PLAIN_ID.test(id) ? id : hash('sha256', id)}`, decimalKey(0)]
}

export class JobEffect implements Effect {
  readonly #job: string
  readonly #id: string
  readonly #clock: Clock

  constructor(job: string, id: string, clock: Clock) {
    this.#job = job
    this.#id = id
    this.#clock = clock
  }

  get key(): string {
    return `${this.#job}:${this.#id}`
  }

  async once(
    store: Store,
    changes: readonly Change[],
    { keepMs = KEEP_MS }: { readonly keepMs?: number } = {},
  ): Promise<EffectResult> {
    const key = effectKey(this.#job, this.#id)
    const at = this.#clock.now()
    const mark: Change = {
      key,
      expect: 'absent',
      op: 'put',
      value: { at },
      expiresAt: store.now().ms + keepMs,
    }
    try {
      const result = await store.commit([mark, ...changes])
      if (result.ok) return { status: 'done' }
      if (await marked(store, key, result.failed)) return { status: 'already_done' }
      return { status: 'conflict', failed: result.failed }
    } catch (error) {
      // Maybe applied: the record tells. If it is not there the caller may try again.
      if (!isSignalboxError(error, 'outcome_unknown')) throw error
      if ((await store.get(key)) === undefined) throw error
      return { status: 'done' }
    }
  }
}

async function marked(store: Store, key: Key, failed: readonly Key[] | 'unknown'): Promise<boolean> {
  if (failed !== 'unknown') return failed.some((each) => each[0] === key[0] && each[1] === key[1])
  return (await store.get(key)) !== undefined
}
