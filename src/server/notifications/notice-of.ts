/** What a run's change of state is to notifications: for servers, and for workers that change runs themselves. Pure. */
import { noticeId, type Notice } from '../../notifications/notice.ts'
import type { Run } from '../../runs/state.ts'

const MAX_ERROR = 1_000
const TOLD = ['failed', 'cancelled', 'timed_out', 'lost', 'succeeded'] as const

/** @param before undefined: it is created */
export function noticeOf(before: Run | undefined, after: Run): Notice | undefined {
  const kind = TOLD.find((state) => state === after.state)
  if (kind === undefined || before?.state === after.state) return undefined
  const {
    id,
    job,
    schedule,
    scheduledAt,
    attempt,
    createdAt,
    endedAt = createdAt,
    error,
    reason,
    cancel,
  } = after
  return {
    id: noticeId(kind, id, createdAt),
    kind,
    at: endedAt,
    job,
    run: id,
    ...(schedule === undefined ? {} : { schedule }),
    ...(scheduledAt === undefined ? {} : { scheduledAt }),
    ...(attempt === 0 ? {} : { attempt }),
    ...(kind === 'succeeded' || error === undefined ? {} : { error: cut(error.message) }),
    ...(reason === undefined ? {} : { reason: cut(reason) }),
    ...(kind !== 'cancelled' || cancel === undefined ? {} : { by: cancel.by }),
  }
}

/** Every store takes it, also where the cut goes through a character. */
export function cut(text: string): string {
  return text.slice(0, MAX_ERROR).toWellFormed()
}
