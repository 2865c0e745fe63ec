/**
 * Lists of runs, from index records alone: one range for each state asked for, merged newest first. A text is looked for in the
 * newest 10,000 that fit the rest.
 *
 * States are read in the order in which runs pass them, so that a run that moves on meanwhile is seen; one seen twice counts once.
 */
import { decimalKey, type Store, type StoredRecord } from '../ports/store.ts'
import type { RunFilter } from './api.ts'
import type { RunList, RunRow } from './api-views.ts'
import { KEYS_PER_MS } from './keys.ts'
import { indexPartition, type IndexName, type Row } from './records.ts'
import { hasEnded } from './state.ts'
import { rowView } from './views.ts'
import { jobOf, runStates, type RunState } from './vocabulary.ts'

export interface ListRequest extends RunFilter {
  /** Of whose jobs the caller may know. */
  readonly visible?: (job: string) => boolean
}

/** So many runs are looked at for a text, or for a caller who may not see all jobs. */
export const MAX_SCANNED = 10_000
const SCAN_PAGE = 500
const MAX_PAGE = 1_000
const MAX_PLACE = 10 ** 15 - 1

interface Found {
  readonly place: string
  readonly state: RunState
  readonly row: Row
}

export async function listRuns(store: Store, request: ListRequest = {}): Promise<RunList> {
  const { limit = 50, text, visible, job } = request
  const matches = matcher(request)
  // One known job is judged once, by the face.
  const scanning = text !== undefined || (visible !== undefined && job === undefined)
  const runs: RunRow[] = []
  let scanned = 0
  let after: string | undefined
  let more = false
  for await (const found of newest(store, request, scanning ? SCAN_PAGE : limit + 1)) {
    more = runs.length === limit || scanned === MAX_SCANNED
    if (more) break
    after = found.place
    scanned += 1
    if (matches(found)) runs.push(rowView(found.row, found.state))
  }
  const next = more && after !== undefined ? { next: after } : {}
  return { runs, ...next, ...(text === undefined ? {} : { scanned }) }
}

function matcher({ text, visible, job, schedule }: ListRequest): (found: Found) => boolean {
  const wanted = text?.trim().toLowerCase() ?? ''
  return ({ row }) => {
    const own = jobOf(row.id)
    if (schedule !== undefined && job !== undefined && own !== job) return false
    if (visible !== undefined && !visible(own)) return false
    return wanted === '' || textsOf(row).some((part) => part?.toLowerCase().includes(wanted))
  }
}

function textsOf({ id, queue, worker, schedule, error, reason, input }: Row): (string | undefined)[] {
  return [id, queue, worker, schedule, error, reason, input]
}

/** One state's range, read page by page. */
interface Source {
  readonly state: RunState
  /** The next one last. */
  found: Found[]
  after: string | undefined
  more: boolean
}

/** The runs of all states asked for, newest first, each once. */
async function* newest(
  store: Store,
  { states = runStates, job, schedule, from, to, after }: ListRequest,
  limit: number,
): AsyncGenerator<Found> {
  const name: IndexName = schedule === undefined ? (job === undefined ? {} : { job }) : { schedule }
  const range = {
    ...(from === undefined ? {} : { from: placeAt(from) }),
    ...(to === undefined ? {} : { to: placeAt(to) }),
  }
  const fill = async (source: Source): Promise<void> => {
    const page = await store.list(
      { partition: indexPartition(name, source.state), ...range },
      {
        limit: Math.min(limit, MAX_PAGE),
        reverse: true,
        ...(source.after === undefined ? {} : { after: source.after }),
      },
    )
    source.found = page.records.map((record) => foundIn(record, source.state)).reverse()
    source.after = page.next
    source.more = page.next !== undefined
  }
  const sources = runStates
    .filter((state) => states.includes(state))
    .map((state): Source => ({ state, found: [], after, more: true }))
  for (const source of sources) if (!hasEnded(source.state)) await fill(source)
  await Promise.all(sources.filter(({ state }) => hasEnded(state)).map(fill))
  const seen = new Set<string>()
  for (;;) {
    let first: Source | undefined
    for (const source of sources) {
      if (source.found.length === 0 && source.more) await fill(source)
      if (placeOf(source) > placeOf(first)) first = source
    }
    const found = first?.found.pop()
    if (found === undefined) return
    if (seen.has(found.row.id)) continue
    seen.add(found.row.id)
    yield found
  }
}

function placeOf(source: Source | undefined): string {
  return source?.found.at(-1)?.place ?? ''
}

function foundIn({ key: [, place], value }: StoredRecord, state: RunState): Found {
  return { place, state, row: value as unknown as Row }
}

function placeAt(ms: number): string {
  return decimalKey(Math.min(MAX_PLACE, Math.max(0, Math.floor(ms)) * KEYS_PER_MS))
}
