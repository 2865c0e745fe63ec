/** What an expression says and when a schedule of it would fire, if it were made now. Pure. */
import type { Preview, PreviewView } from './api.ts'
import { describe } from './expression/describe.ts'
import { checkTimeZone } from './expression/time-zone.ts'
import { anchorFor, firstTime, timesAfter, timingOf } from './timing.ts'
import { iso } from './views.ts'

const SHOWN = 5

/** @throws SignalboxError `invalid_argument` */
export function preview(request: Preview, now: number): PreviewView {
  const { expression, count = SHOWN, startAt, endAt } = request
  const timeZone = checkTimeZone(request.timeZone ?? 'UTC')
  const from = request.from === undefined ? now : Date.parse(request.from)
  const bounds = { ...(startAt === undefined ? {} : { startAt }), ...(endAt === undefined ? {} : { endAt }) }
  const anchor = anchorFor(bounds, from)
  const timing = timingOf({ expression, timeZone, ...bounds }, anchor)
  const first = firstTime(timing, from)
  const next = first === undefined ? [] : [first, ...timesAfter(timing, first, count - 1)]
  return { says: describe(timing.expression), next: next.map(iso) }
}
