/** A schedule's record after people changed its definition. Pure. */
import type { ScheduleDefinition } from './api.ts'
import { sameTiming } from './definition.ts'
import type { Stored } from './records.ts'
import { anchorFor, firstTime, timingOf } from './timing.ts'

/** A time so far ahead was decided about by a clock that was wrong; whoever saves the schedule gets it going again. */
const WRONG_CLOCK_MS = 3_600_000

export interface Saving {
  readonly by: string
  readonly reason?: string | undefined
  readonly now: number
  /** Fields of the parameters that no view shows. */
  readonly secrets: readonly string[] | undefined
}

export function saved(
  before: Stored | undefined,
  wanted: ScheduleDefinition,
  { by, reason, now, secrets }: Saving,
): Omit<Stored, 'due' | 'stamp'> {
  const {
    paused,
    next: _next,
    due: _due,
    makingUpTo: _row,
    secrets: _secrets,
    settled,
    ...rest
  } = before ?? {}
  const pause = paused ?? { at: now, by, ...(reason === undefined ? {} : { reason }) }
  return {
    ...rest,
    definition: wanted,
    rev: (before?.rev ?? 0) + 1,
    createdAt: before?.createdAt ?? now,
    updatedAt: now,
    by,
    ...timesOf(before, wanted, now),
    ...(settled === undefined || settled > now + WRONG_CLOCK_MS ? {} : { settled }),
    ...(secrets === undefined || secrets.length === 0 ? {} : { secrets }),
    ...(wanted.enabled ? {} : { paused: pause }),
  }
}

/** From where it counts and when it fires next. */
function timesOf(
  before: Stored | undefined,
  wanted: ScheduleDefinition,
  now: number,
): Pick<Stored, 'anchor' | 'next' | 'makingUpTo'> {
  const old = before?.definition
  const stays = old !== undefined && sameTiming(old, wanted)
  const anchor = stays && before !== undefined ? before.anchor : anchorFor(wanted, now)
  if (!wanted.enabled) return { anchor }
  if (stays && old.enabled) {
    const { next, makingUpTo } = before ?? {}
    return {
      anchor,
      ...(next === undefined ? {} : { next }),
      ...(makingUpTo === undefined ? {} : { makingUpTo }),
    }
  }
  const settled = before?.settled ?? 0
  const from = settled > now + WRONG_CLOCK_MS ? now : Math.max(now, settled)
  const next = firstTime(timingOf(wanted, anchor), from)
  return { anchor, ...(next === undefined ? {} : { next }) }
}
