/**
 * What a member that leaves does with the guard: away with it if somebody of the other tool waits, or nobody of ours would
 * use it; otherwise it stays for the next of ours. It is deleted only as it was read before asking who relies on it.
 */
import { backoffDelay } from '../../kernel/backoff.ts'
import { sleep } from '../../kernel/clock.ts'
import { isSignalboxError } from '../../kernel/error.ts'
import { lookAround } from './look.ts'
import { deleteGuard, isReliedOn, readOurs, type GuardContext } from './record.ts'
import type { Strangers } from './strangers.ts'

const CHANCES = 4
const BACKOFF = { baseMs: 50, maxMs: 400 }

/** Best effort: what is left behind lapses by itself. @param id of the member that has left */
export async function tidy(
  context: GuardContext,
  queue: string,
  id: string,
  strangers: Strangers,
): Promise<void> {
  for (let n = 0; n < CHANCES; n++) {
    if (n > 0) await sleep(context.clock, backoffDelay(BACKOFF, n, context.random))
    try {
      if (await tidyOnce(context, queue, id, strangers)) return
    } catch (error) {
      if (!isSignalboxError(error)) throw error
    }
  }
}

/** @returns false when the guard changed meanwhile */
async function tidyOnce(
  context: GuardContext,
  queue: string,
  id: string,
  strangers: Strangers,
): Promise<boolean> {
  const { guard, anyWaiting } = await lookAround(context, queue, strangers)
  if (guard === undefined) return true
  const ours = await readOurs(context, queue)
  if (isReliedOn(guard.value, ours, id)) return true
  const wanted = ours.waits || ours.holders.some((holder) => holder.id !== id)
  if (wanted && !anyWaiting) return true
  return deleteGuard(context, queue, guard.version)
}
