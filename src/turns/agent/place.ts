/**
 * `TurnsApi` that remembers what became of one member's place: its id, and whether the server has acknowledged that it
 * is gone. A session does not tell these, because to it a place that lapsed is as good as one released.
 */
import { backoffDelay } from '../../kernel/backoff.ts'
import { sleep, type Clock } from '../../kernel/clock.ts'
import { isSignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import type { LeaveView, TurnsApi } from '../api.ts'
import { attempt, isTransient } from '../../kernel/attempt.ts'

const LEAVE_ATTEMPT_MS = 5_000
const LEAVE_BACKOFF = { baseMs: 100, maxMs: 1_000 }

export interface Place {
  readonly api: TurnsApi
  /** The member's id, once a join was sent. */
  readonly member: () => string | undefined
  /** What the server said about the leaving; undefined as long as it said nothing. */
  readonly left: () => LeaveView['outcome'] | undefined
}

export function watchPlace(api: TurnsApi): Place {
  let member: string | undefined
  let left: LeaveView['outcome'] | undefined
  const watched: TurnsApi = {
    wait: (...call) => api.wait(...call),
    beat: (...call) => api.beat(...call),
    show: (...call) => api.show(...call),
    list: (...call) => api.list(...call),
    join(queue, request, signal) {
      member = request.id
      return api.join(queue, request, signal)
    },
    async leave(queue, id, fence, signal) {
      try {
        const view = await api.leave(queue, id, fence, signal)
        left = view.outcome
        return view
      } catch (error) {
        if (isSignalboxError(error, 'turn_lost') || isSignalboxError(error, 'not_found')) left = 'gone'
        throw error
      }
    },
  }
  return { api: watched, member: () => member, left: () => left }
}

/** Repeats the leaving until the server has answered it, for `forMs`; then the place lapses by itself. */
export async function insistOnLeaving(
  place: Place,
  options: {
    readonly queue: string
    readonly clock: Clock
    readonly random: Random
    readonly forMs: number
  },
): Promise<void> {
  const { queue, clock, random, forMs } = options
  const until = clock.monotonic() + forMs
  for (let n = 0; place.left() === undefined; n++) {
    const id = place.member()
    if (id === undefined) return // never joined
    try {
      await attempt({ clock, boundMs: LEAVE_ATTEMPT_MS }, (s) => place.api.leave(queue, id, undefined, s))
    } catch (error) {
      if (!isTransient(error) || clock.monotonic() >= until) return
      await sleep(clock, backoffDelay(LEAVE_BACKOFF, n, random))
    }
  }
}
