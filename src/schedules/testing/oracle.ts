/**
 * A slow matcher of cron expressions that is right at a glance: it reads the text anew for each minute, and knows local time from
 * the wall clocks that Intl shows. Nothing here is shared with the code under test. It expects expressions that are valid.
 */

/** What the local clock and calendar show. Months are 1 to 12. */
export interface Wall {
  readonly year: number
  readonly month: number
  readonly date: number
  readonly hour: number
  readonly minute: number
}

export interface Minute {
  readonly instant: number
  readonly wall: Wall
  /** Has the local clock shown this already? */
  readonly repeated: boolean
}

const NAMES = 'SUN MON TUE WED THU FRI SAT JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC'.split(' ')

function number(token: string): number {
  const at = NAMES.indexOf(token.toUpperCase())
  if (at < 0) return Number(token)
  return at < 7 ? at + 1 : at - 6
}

/** Walks each range step by step, around the end of the field. */
function listed(text: string, value: number, min: number, max: number): boolean {
  for (const item of text.split(',')) {
    const [range = '', step] = item.split('/')
    const [first = '', last] = range.split('-')
    let at = first === '*' ? min : number(first)
    let end = at
    if (first === '*' || (last === undefined && step !== undefined)) end = max
    if (last !== undefined) end = number(last)
    for (let walked = 0; ; walked++) {
      if (walked % Number(step ?? '1') === 0 && at === value) return true
      if (at === end) break
      at = at === max ? min : at + 1
    }
  }
  return false
}

/** 0 is Sunday; undefined when the month has no such date. */
function weekday({ year, month }: Wall, date: number): number | undefined {
  const day = new Date(Date.UTC(year, month - 1, date))
  return date >= 1 && day.getUTCMonth() === month - 1 ? day.getUTCDay() : undefined
}

function isWorkday(wall: Wall, date: number): boolean {
  const day = weekday(wall, date)
  return day !== undefined && day >= 1 && day <= 5
}

function matchesDate(text: string, wall: Wall): boolean {
  const { date } = wall
  const isLast = (candidate: number): boolean => weekday(wall, candidate + 1) === undefined
  if (text === 'L') return isLast(date)
  const target = text === 'LW' ? [28, 29, 30, 31].find(isLast) : Number(text.replace('W', ''))
  if (!text.endsWith('W')) return listed(text, date, 1, 31)
  if (target === undefined || weekday(wall, target) === undefined) return false
  const nearest = [0, 1, 2].flatMap((far) => [target - far, target + far]).find((at) => isWorkday(wall, at))
  return date === nearest
}

function matchesWeekday(text: string, wall: Wall): boolean {
  const today = (weekday(wall, wall.date) ?? 0) + 1
  if (text === 'L') return today === 7
  if (text.endsWith('L'))
    return number(text.slice(0, -1)) === today && weekday(wall, wall.date + 7) === undefined
  const [day = '', nth] = text.split('#')
  if (nth === undefined) return listed(text, today, 1, 7)
  let seen = 0
  for (let date = 1; date <= wall.date; date++) if ((weekday(wall, date) ?? 0) + 1 === today) seen += 1
  return number(day) === today && seen === Number(nth)
}

/** @param expression `cron(...)`. */
export function matches(expression: string, wall: Wall): boolean {
  const [minutes = '', hours = '', dates = '', months = '', weekdays = '', years = ''] = expression
    .slice(5, -1)
    .split(' ')
  return (
    listed(minutes, wall.minute, 0, 59) &&
    listed(hours, wall.hour, 0, 23) &&
    listed(months, wall.month, 1, 12) &&
    listed(years, wall.year, 1970, 2199) &&
    (dates === '?' ? matchesWeekday(weekdays, wall) : matchesDate(dates, wall))
  )
}

/** Every minute of a stretch of time, as it was or will be there. Starts before any change of clocks within it. */
export function minutesOf(timeZone: string, from: string, to: string): readonly Minute[] {
  const format = new Intl.DateTimeFormat('sv-SE', {
    timeZone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
  })
  const minutes: Minute[] = []
  const shown = new Set<string>()
  for (let instant = Date.parse(from); instant < Date.parse(to); instant += 60_000) {
    const text = format.format(instant)
    const [year = 0, month = 0, date = 0, hour = 0, minute = 0] = text.split(/\D+/).map(Number)
    minutes.push({ instant, wall: { year, month, date, hour, minute }, repeated: shown.has(text) })
    shown.add(text)
  }
  return minutes
}
