/**
 * Firestore's values: their order, and time in microseconds.
 * Order of types and within them: https://cloud.google.com/firestore/docs/concepts/data-types
 */
import { code, Status, type Message } from './protocol.ts'

/** A document as stored. */
export interface Stored {
  readonly name: string
  readonly fields: Readonly<Record<string, Message>>
  readonly createdAt: bigint
  readonly updatedAt: bigint
}

/** Microseconds since the epoch, Firestore's resolution. */
export function toTimestamp(micros: bigint): { readonly seconds: string; readonly nanos: number } {
  return { seconds: String(micros / 1_000_000n), nanos: Number(micros % 1_000_000n) * 1_000 }
}

export function fromTimestamp({ seconds, nanos }: Message): bigint {
  if (nanos % 1_000 !== 0) throw new Status(code.INVALID_ARGUMENT, 'timestamp must be microsecond aligned')
  return BigInt(seconds) * 1_000_000n + BigInt(nanos / 1_000)
}

export function toDocument({ name, fields, createdAt, updatedAt }: Stored): Message {
  return { name, fields, createTime: toTimestamp(createdAt), updateTime: toTimestamp(updatedAt) }
}

const TYPES = [
  'nullValue',
  'booleanValue',
  'integerValue',
  'doubleValue',
  'timestampValue',
  'stringValue',
  'bytesValue',
  'referenceValue',
] as const
type Type = (typeof TYPES)[number]

function typeOf(value: Message): Type {
  const type = TYPES.find((name) => value[name] !== undefined)
  // Honest rather than nearly right: what it cannot order it refuses.
  if (type === undefined)
    throw new Status(code.UNIMPLEMENTED, `the fake cannot compare ${JSON.stringify(value)}`)
  return type
}

/** Integers and doubles compare as numbers. */
function rank(value: Message): number {
  const type = typeOf(value)
  return TYPES.indexOf(type === 'doubleValue' ? 'integerValue' : type)
}

/** Comparisons of a filter hold only between values of one type. */
export function sameType(a: Message, b: Message): boolean {
  return rank(a) === rank(b)
}

/** Less than 0, 0 or more than 0, in Firestore's order. */
export function compare(a: Message, b: Message): number {
  if (rank(a) !== rank(b)) return rank(a) - rank(b)
  switch (typeOf(a)) {
    case 'nullValue':
      return 0
    case 'booleanValue':
      return Number(a.booleanValue) - Number(b.booleanValue)
    case 'integerValue':
    case 'doubleValue':
      return numberOf(a) - numberOf(b)
    case 'timestampValue':
      return Number(fromTimestamp(a.timestampValue) - fromTimestamp(b.timestampValue))
    case 'stringValue':
      return Buffer.compare(Buffer.from(a.stringValue), Buffer.from(b.stringValue))
    case 'bytesValue':
      return Buffer.compare(a.bytesValue, b.bytesValue)
    case 'referenceValue':
      return compareNames(a.referenceValue, b.referenceValue)
  }
}

/** Document names compare segment by segment. */
export function compareNames(a: string, b: string): number {
  const [left, right] = [a.split('/'), b.split('/')]
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = Buffer.compare(Buffer.from(left[i] as string), Buffer.from(right[i] as string))
    if (order !== 0) return order
  }
  return left.length - right.length
}

/** Fields as they are stored: times lose what is finer than a microsecond. */
export function normalised(fields: Record<string, Message>): Record<string, Message> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => {
      const time = value.timestampValue
      return [name, time ? { timestampValue: { ...time, nanos: time.nanos - (time.nanos % 1_000) } } : value]
    }),
  )
}

function numberOf(value: Message): number {
  return value.integerValue === undefined ? value.doubleValue : Number(value.integerValue)
}
