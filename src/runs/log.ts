/** Log lines: cut to their bounds when they come, in chunks in the store, read by line number. */
import type { Json, Store, StoredRecord } from '../ports/store.ts'
import type { LoggedLine, LogPage } from './api-views.ts'
import { chunkKeyPart, partsPartition, type Chunk, type Live } from './records.ts'
import type { KeptLine } from './state.ts'
import { logLevels, MAX_TIME, type LogLine } from './vocabulary.ts'

const MAX_TEXT = 8_000
const MAX_FIELDS_BYTES = 8_000
/** Lines of one command; more are several. */
const MAX_LINES = 1_000
const MAX_BYTES = 256 * 1024

/** @returns the lines in portions that fit one commit each */
export function keptLines(lines: readonly LogLine[]): KeptLine[][] {
  const portions: KeptLine[][] = []
  let portion: KeptLine[] = []
  let bytes = 0
  for (const line of lines) {
    const kept = keptLine(line)
    if (portion.length === MAX_LINES || (portion.length > 0 && bytes + kept.bytes > MAX_BYTES)) {
      portions.push(portion)
      portion = []
      bytes = 0
    }
    portion.push(kept)
    bytes += kept.bytes
  }
  return portion.length === 0 ? portions : [...portions, portion]
}

function keptLine({ at, level, text, fields }: LogLine): KeptLine {
  const line = {
    at: Number.isFinite(at) ? Math.min(Math.max(Math.round(at), 0), MAX_TIME) : 0,
    level: logLevels.indexOf(level),
    text: text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text,
    ...(fields === undefined ? {} : { fields: keptFields(fields) }),
  }
  return { ...line, bytes: Buffer.byteLength(JSON.stringify(line)) }
}

/** Plain JSON within bounds; fields that are too large together are left out. */
function keptFields(fields: { readonly [name: string]: Json }): { readonly [name: string]: Json } {
  const text = JSON.stringify(fields)
  if (Buffer.byteLength(text) > MAX_FIELDS_BYTES) return { truncated: true }
  return JSON.parse(text) as { readonly [name: string]: Json }
}

export interface LogRange {
  /** Lines with greater numbers only. */
  readonly after?: number
  readonly limit?: number
}

const PAGE = 50

/** Lines in order. */
export async function readLines(
  store: Store,
  of: Live,
  { after = 0, limit = 1_000 }: LogRange,
): Promise<LogPage> {
  const partition = partsPartition(of)
  const lines: LoggedLine[] = []
  let from: string | undefined = await chunkWith(store, partition, after + 1)
  while (from !== undefined) {
    const page = await store.list({ partition, from }, { limit: PAGE })
    for (const record of page.records) {
      for (const line of linesOf(chunkIn(record))) {
        if (line.n <= after) continue
        if (lines.length === limit) return { lines, next: lines.at(-1)?.n ?? after }
        lines.push(line)
      }
    }
    const last = page.records.at(-1)
    from = page.next === undefined || last === undefined ? undefined : chunkKeyPart(chunkIn(last).n + 1)
  }
  return { lines }
}

/** Where the chunk begins that holds line `n`, or the next one. */
async function chunkWith(store: Store, partition: string, n: number): Promise<string> {
  const from = chunkKeyPart(1)
  const to = chunkKeyPart(n + 1)
  const page = await store.list({ partition, from, to }, { limit: 1, reverse: true })
  return page.records[0]?.key[1] ?? from
}

function chunkIn({ value }: StoredRecord): Chunk {
  return value as unknown as Chunk
}

function linesOf({ n, attempt, lines }: Chunk): LoggedLine[] {
  return lines.map(([at, level, text, fields], index) => ({
    n: n + index,
    attempt,
    at,
    level: logLevels[level] ?? 'info',
    text,
    ...(fields === undefined ? {} : { fields: fields as LoggedLine['fields'] }),
  }))
}
