/** `schedule next`: what an expression says and when it fires next, worked out here; nobody is asked about an expression. */
import type { ScheduleView } from '../api.ts'
import { describe } from '../expression/describe.ts'
import { upcoming } from '../expression/next.ts'
import { parseExpression } from '../expression/parse.ts'
import { checkTimeZone } from '../expression/time-zone.ts'
import { iso, localTime } from './times.ts'
import { nextTimesText } from './views.ts'

export interface Upcoming {
  readonly expression: string
  readonly says: string
  readonly timeZone: string
  /** Milliseconds since the epoch. */
  readonly next: readonly number[]
}

export interface Asked {
  readonly expression: string
  readonly timeZone: string
  readonly count: number
  /** Only later times: milliseconds since the epoch. */
  readonly after: number
  /** From where a rate counts. */
  readonly anchor?: number
  readonly startAt?: string
  readonly endAt?: string
}

/** @throws SignalboxError `invalid_argument` */
export function nextTimes({ expression, timeZone, count, after, anchor, startAt, endAt }: Asked): Upcoming {
  const parsed = parseExpression(expression)
  const zone = checkTimeZone(timeZone)
  // Without a schedule a rate counts as for one that is made now.
  const created = Math.ceil(after / 1_000) * 1_000
  const from = parsed.kind === 'rate' && anchor === undefined ? created : after
  const start = startAt === undefined ? from : Math.max(from, Date.parse(startAt) - 1)
  const end = endAt === undefined ? Infinity : Date.parse(endAt)
  const moment = { after: start, timeZone: zone, anchor: anchor ?? created }
  const next = upcoming(parsed, moment, count).filter((at) => at < end)
  return { expression, says: describe(parsed), timeZone, next }
}

/** A schedule's own rate counts from its creation, so from any of its times. */
export function nextOf(view: ScheduleView, { count, after }: Pick<Asked, 'count' | 'after'>): Upcoming {
  const { expression, timeZone, startAt, endAt } = view
  const [first] = view.next
  return nextTimes({
    expression,
    timeZone,
    count,
    after,
    ...(first === undefined ? {} : { anchor: Date.parse(first) }),
    ...(startAt === undefined ? {} : { startAt }),
    ...(endAt === undefined ? {} : { endAt }),
  })
}

export function upcomingText({ says, next, timeZone }: Upcoming, now: number): string {
  return `${says}\n${next.length === 0 ? 'It does not fire any more.\n' : nextTimesText(next, timeZone, now)}`
}

export function upcomingJson({ next, timeZone, ...facts }: Upcoming): object {
  const times = next.map((at) => ({ at: iso(at), local: localTime(at, timeZone) }))
  return { ...facts, timeZone, next: times }
}
