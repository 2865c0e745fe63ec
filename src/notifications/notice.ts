/**
 * A notice: that something happened of which somebody may want to be notified. It is committed with what happened, so neither is
 * there without the other; who is told, and how, is decided afterwards (intake.ts).
 */
import { createHash } from 'node:crypto'
import type { EventKind } from './vocabulary.ts'

/** `succeeded` only tells that a streak of other ends is over. */
export type NoticeKind = Exclude<EventKind, 'recovered'> | 'succeeded'

/** Times in milliseconds since the epoch. */
export interface Notice {
  /** The same for the same occurrence, whoever tells of it (`noticeId`). */
  readonly id: string
  readonly kind: NoticeKind
  readonly at: number
  readonly job: string
  readonly schedule?: string
  readonly run?: string
  readonly scheduledAt?: number
  readonly attempt?: number
  readonly error?: string
  readonly reason?: string
  readonly by?: string
  /** Times that were missed. */
  readonly count?: number
}

/** What a notice is about: its schedule, or its job. */
export type About = Pick<Notice, 'job' | 'schedule'>

export function subjectOf({ job, schedule }: About): string {
  return schedule === undefined ? `job ${job}` : `schedule ${schedule}`
}

/** @param facts what tells this occurrence from all others, such as its kind, the run and when that was created */
export function noticeId(...facts: readonly (string | number)[]): string {
  return `evt_${createHash('sha256').update(facts.join(' ')).digest('hex').slice(0, 32)}`
}

/** Does a success after this count as a recovery? Who cancels knows why. */
export function isBad(kind: NoticeKind): boolean {
  return kind !== 'succeeded' && kind !== 'cancelled'
}
