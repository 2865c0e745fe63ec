/** The part of `TurnsApi` that members use; what they ask and hear is told to the judge before they hear it. */
import type { TurnsApi } from '../../src/turns/api.ts'
import type { TurnsService } from '../../src/turns/service.ts'
import type { Judge } from './judge.ts'

export type MemberApi = Pick<TurnsApi, 'join' | 'wait' | 'beat' | 'leave'>

/** A request as a server carries it out. */
export type Call<T> = (turns: TurnsService, signal: AbortSignal) => Promise<T>

type Exchange = <T>(
  id: string,
  call: Call<T>,
  signal: AbortSignal | undefined,
  heard: (value: T, sentAt: number) => void,
) => Promise<T>

export function judgedApi(judge: Judge, exchange: Exchange): MemberApi {
  return {
    join: (queue, request, signal) => {
      judge.joinBegins(request.id)
      const heard: Judge['heard'] = (view, sentAt) => judge.heard(view, sentAt)
      return exchange(request.id, (turns, s) => turns.join(queue, request, s), signal, heard)
    },
    wait: (queue, id, request, signal) =>
      exchange(
        id,
        (turns, s) => turns.wait(queue, id, request, s),
        signal,
        (view, sentAt) => judge.heard(view, sentAt),
      ),
    beat: (queue, id, fence, signal) =>
      exchange(
        id,
        (turns, s) => turns.beat(queue, id, fence, s),
        signal,
        (_, sentAt) => judge.beaten(id, sentAt),
      ),
    leave: (queue, id, fence, signal) => {
      judge.leaveBegins(id, fence)
      return exchange(
        id,
        (turns, s) => turns.leave(queue, id, fence, s),
        signal,
        (view) => judge.left(id, fence, view),
      )
    },
  }
}
