/**
 * How messages lie in their tables: the statements that several parts use, and what is written beside the body.
 *
 * Invariants: a row's id comes from the database's sequence, so ids grow in the order of sends and are never used twice; a
 * body above `INLINE_BYTES` lies in `message_bodies` under the id that its message was sent with, and goes with its message.
 */
import type { MessageAttribute, MessageAttributes, MessageFacts } from '../../../ports/message-queue.ts'
import type { Database } from '../database.ts'

/** With more, a row would leave its page, and all of it be written again with each change of the row. */
const INLINE_BYTES = 2_000

/** What every look at a message selects, in the order of `MessageRow`. */
export const COLUMNS = 'id, receives, sent_at, first_received_at, message_group, source, large, extra, body'

export type MessageRow = readonly [
  id: number,
  receives: number,
  sentAt: number,
  firstReceivedAt: number | null,
  group: number | null,
  source: string | null,
  large: number | null,
  extra: string | null,
  body: string | null,
]

/** What a message carries. */
export interface Content {
  readonly body: string
  /** JSON of `Extra`. */
  readonly extra: string | null
}

const INSERT_BODY = 'INSERT INTO message_bodies (id, extra, body) VALUES (?, ?, ?)'
const SELECT_BODY = 'SELECT extra, body FROM message_bodies WHERE id = ?'
const DELETE_BODY = 'DELETE FROM message_bodies WHERE id = ?'
const DELETE_ROW = 'DELETE FROM messages WHERE id = ?'
const ADD_TOTAL = 'UPDATE message_queues SET total = total + ? WHERE id = ?'

/** What few messages have, as JSON in one column: attributes, group, deduplication id, trace header. */
export interface Extra {
  readonly a?: Readonly<Record<string, StoredAttribute>>
  readonly g?: string
  readonly d?: string
  readonly x?: string
}

/** Text as it is; bytes as base64. */
type StoredAttribute =
  | readonly [type: string, text: string]
  | readonly [type: string, base64: string, binary: 1]

/**
 * Puts what a message carries where it belongs.
 * @returns its columns `large`, `extra` and `body`; `large` is the id in `message_bodies`
 */
export function putContent(
  db: Database,
  id: number,
  { body, extra }: Content,
  bytes: number,
): [large: number | null, extra: string | null, body: string | null] {
  if (bytes <= INLINE_BYTES) return [null, extra, body]
  db.prepare(INSERT_BODY).run(id, extra, body)
  return [id, null, null]
}

export function contentOf(db: Database, row: MessageRow): Content {
  const [, , , , , , large, extra, body] = row
  if (large === null) return { body: body ?? '', extra }
  const found = db.prepare(SELECT_BODY).get(large) as unknown as [extra: string | null, body: string]
  return { extra: found[0], body: found[1] }
}

export function removeBody(db: Database, large: number | null): void {
  if (large !== null) db.prepare(DELETE_BODY).run(large)
}

/** Removes a message, whatever holds it. Its group and its queue's total are the caller's. */
export function removeMessage(db: Database, row: MessageRow): void {
  db.prepare(DELETE_ROW).run(row[0])
  removeBody(db, row[6])
}

/** Keeps the number of a queue's messages. */
export function addTotal(db: Database, queue: number, count: number): void {
  if (count !== 0) db.prepare(ADD_TOTAL).run(count, queue)
}

export function storeAttributes(attributes: MessageAttributes | undefined): Extra['a'] {
  if (attributes === undefined) return undefined
  const entries = Object.entries(attributes)
  return entries.length === 0
    ? undefined
    : Object.fromEntries(entries.map(([name, a]) => [name, storeAttribute(a)]))
}

function storeAttribute({ type, value }: MessageAttribute): StoredAttribute {
  if (typeof value === 'string') return [type, value]
  return [type, Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64'), 1]
}

export function messageId(salt: string, id: number): string {
  return `${salt}-${id}`
}

/** SQS's sequence numbers have 20 digits too. */
export function sequenceOf(id: number): string {
  return String(id).padStart(20, '0')
}

const NO_ATTRIBUTES: MessageAttributes = {}

/**
 * A row as callers see it.
 * @param wants which attributes to return.
 */
export function toFacts(
  salt: string,
  row: MessageRow,
  { body, extra }: Content,
  wants: (name: string) => boolean,
): MessageFacts {
  const [id, receives, sentAt, firstReceivedAt, group, source] = row
  const common = { messageId: messageId(salt, id), body, sentAt, receiveCount: receives }
  const history = {
    ...(firstReceivedAt === null ? undefined : { firstReceivedAt }),
    ...(source === null ? undefined : { deadLetterSource: source }),
  }
  if (extra === null) return { ...common, attributes: NO_ATTRIBUTES, ...history }
  const { a, g, d, x } = JSON.parse(extra) as Extra
  return {
    ...common,
    ...history,
    attributes: a === undefined ? NO_ATTRIBUTES : readAttributes(a, wants),
    ...(g === undefined ? {} : { groupId: g }),
    ...(d === undefined ? {} : { deduplicationId: d }),
    ...(group === null ? {} : { sequence: sequenceOf(id) }),
    ...(x === undefined ? {} : { traceHeader: x }),
  }
}

function readAttributes(
  stored: NonNullable<Extra['a']>,
  wants: (name: string) => boolean,
): MessageAttributes {
  const wanted = Object.entries(stored).filter(([name]) => wants(name))
  return Object.fromEntries(
    wanted.map(([name, [type, value, binary]]) => [
      name,
      { type, value: binary === 1 ? new Uint8Array(Buffer.from(value, 'base64')) : value },
    ]),
  )
}
