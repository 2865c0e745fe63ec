/** Lists of schedules, from their rows alone; only what is shown of one page is read beside. */
import type { Store } from '../ports/store.ts'
import type { ScheduleFilter, ScheduleList, ScheduleRow } from './api.ts'
import { invalid } from './definition.ts'
import { ROWS, type Row } from './records.ts'

const PAGE = 1_000
const MAX_LIMIT = 1_000
const SHOWN_AT_ONCE = 32

/** All rows, in no order. */
export async function readRows(store: Store): Promise<Row[]> {
  const rows: Row[] = []
  let after: string | undefined
  do {
    const page = await store.list(
      { partition: ROWS },
      { limit: PAGE, ...(after === undefined ? {} : { after }) },
    )
    for (const { value } of page.records) rows.push(value as unknown as Row)
    after = page.next
  } while (after !== undefined)
  return rows
}

export interface ListRequest extends ScheduleFilter {
  /** Of which schedules the caller may know. */
  readonly visible?: (name: string, job: string) => boolean
}

/** @param show what is read for one of the page */
export async function listSchedules(
  store: Store,
  { limit = 50, after, ...filter }: ListRequest,
  show: (row: Row) => Promise<ScheduleRow>,
): Promise<ScheduleList> {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw invalid('limit', `limit: '${limit}' must be a whole number from 1 to ${MAX_LIMIT}`)
  }
  const fits = matcher(filter)
  const all = (await readRows(store)).filter(fits).sort((a, b) => (a.name < b.name ? -1 : 1))
  const start = after === undefined ? 0 : firstAfter(all, after)
  const rows = all.slice(start, start + limit)
  const schedules: ScheduleRow[] = []
  for (let at = 0; at < rows.length; at += SHOWN_AT_ONCE) {
    schedules.push(...(await Promise.all(rows.slice(at, at + SHOWN_AT_ONCE).map(show))))
  }
  const last = rows.at(-1)
  const more = last !== undefined && start + limit < all.length
  return { schedules, total: all.length, ...(more ? { next: last.name } : {}) }
}

function firstAfter(rows: readonly Row[], name: string): number {
  const found = rows.findIndex((row) => row.name > name)
  return found < 0 ? rows.length : found
}

function matcher({ job, enabled, text = '', visible }: ListRequest): (row: Row) => boolean {
  const wanted = text.trim().toLowerCase()
  return (row) => {
    if (job !== undefined && row.job !== job) return false
    if (enabled !== undefined && row.enabled !== enabled) return false
    if (visible !== undefined && !visible(row.name, row.job)) return false
    const texts = [row.name, row.job, row.expression, row.description ?? '']
    return wanted === '' || texts.some((part) => part.toLowerCase().includes(wanted))
  }
}
