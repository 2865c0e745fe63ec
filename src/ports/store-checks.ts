/**
 * What every driver checks of its arguments before it touches its engine, so that all of them refuse the same calls
 * with the same words. Everything here throws `invalid_argument` with one line, or returns.
 *
 * Invariant: a value that passes reads back equal from any engine, since it is plain JSON (`-0` reads back as `0`).
 * The checks take arguments as untrusted: calls also arrive from other processes.
 */
import { SignalboxError } from '../kernel/error.ts'
import type { Change, Expect, Key, ListOptions, Range, StoreLimits } from './store.ts'

const ASCII = /^[\x20-\x7e]{1,200}$/
const DECIMAL = /^[0-9]{15}$/
const MAX_LIST = 1_000
/** Deeper values are refused; this also catches cycles. */
const MAX_DEPTH = 100
/** Up to this many changes, comparing each with each is cheaper than a set. */
const FEW = 6

/** @throws SignalboxError `invalid_argument` unless both parts of the key suit a store of this kind. */
export function checkKey(key: Key, keys: StoreLimits['keys']): void {
  if (!Array.isArray(key) || key.length !== 2) throw invalid(`a key is [partition, key], got ${show(key)}`)
  checkPartition(key[0])
  checkKeyPart(key[1], keys, 'key')
}

/** @throws SignalboxError `invalid_argument` */
export function checkRange(range: Range, keys: StoreLimits['keys']): void {
  if (!isObject(range)) throw invalid(`a range is { partition, from?, to? }, got ${show(range)}`)
  checkPartition(range.partition)
  if (range.from !== undefined) checkKeyPart(range.from, keys, 'range from')
  if (range.to !== undefined) checkKeyPart(range.to, keys, 'range to')
}

/** @throws SignalboxError `invalid_argument` */
export function checkListOptions(options: ListOptions, keys: StoreLimits['keys']): void {
  if (!isObject(options)) throw invalid(`list options are { limit, … }, got ${show(options)}`)
  const { limit, after } = options
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIST) {
    throw invalid(`list limit must be a whole number from 1 to ${MAX_LIST}, got ${show(limit)}`)
  }
  if (after !== undefined) checkKeyPart(after, keys, 'list after')
}

/**
 * Checks a whole commit.
 * @returns the values as JSON text, by index of the change; undefined for `delete` and `check`. Drivers store this
 *   text, so that what the caller does to its objects afterwards changes nothing.
 * @throws SignalboxError `invalid_argument`
 */
export function checkCommit(changes: readonly Change[], limits: StoreLimits): (string | undefined)[] {
  if (!Array.isArray(changes)) throw invalid(`a commit takes an array of changes, got ${show(changes)}`)
  if (changes.length === 0) throw invalid('a commit needs at least one change')
  if (changes.length > limits.changes) {
    throw invalid(`a commit takes at most ${limits.changes} changes, got ${changes.length}`)
  }
  const encoded = changes.map((change: Change) => checkChange(change, limits))
  checkRepeats(changes)
  let bytes = 0
  for (const json of encoded) if (json !== undefined) bytes += Buffer.byteLength(json)
  if (bytes > limits.commitBytes) {
    throw invalid(`the values of a commit may have ${limits.commitBytes} bytes together, got ${bytes}`)
  }
  return encoded
}

function checkChange(change: Change, limits: StoreLimits): string | undefined {
  if (!isObject(change)) throw invalid(`a change is { key, expect, op, … }, got ${show(change)}`)
  checkKey(change.key, limits.keys)
  checkExpect(change)
  if (change.op === 'delete' || change.op === 'check') return undefined
  if (change.op !== 'put') {
    throw invalid(`${at(change)}: op must be put, delete or check, got ${show((change as Change).op)}`)
  }
  if (change.expiresAt !== undefined && !Number.isFinite(change.expiresAt)) {
    throw invalid(
      `${at(change)}: expiresAt must be milliseconds since the epoch, got ${show(change.expiresAt)}`,
    )
  }
  const problem = notJson(change.value, 0)
  if (problem !== undefined) throw invalid(`${at(change)}: value${problem}; only plain JSON can be stored`)
  const json = JSON.stringify(change.value)
  const bytes = Buffer.byteLength(json)
  if (bytes > limits.valueBytes) {
    throw invalid(`${at(change)}: a value may have ${limits.valueBytes} bytes as JSON, got ${bytes}`)
  }
  return json
}

function checkExpect(change: Change): void {
  const expect: Expect = change.expect
  if (expect === 'absent' || expect === 'present') return
  if (isObject(expect) && typeof expect.version === 'string') return
  throw invalid(`${at(change)}: expect must be 'absent', 'present' or { version }, got ${show(expect)}`)
}

function checkRepeats(changes: readonly Change[]): void {
  if (changes.length <= FEW) {
    changes.forEach((change, i) => {
      for (let j = 0; j < i; j++) if (sameKey(changes[j] as Change, change)) throw repeated(change)
    })
    return
  }
  const seen = new Set<string>()
  changes.forEach((change, i) => {
    // NUL is in no key, so the joined text is unambiguous.
    if (seen.add(`${change.key[0]}\0${change.key[1]}`).size !== i + 1) throw repeated(change)
  })
}

function sameKey(a: Change, b: Change): boolean {
  return a.key[1] === b.key[1] && a.key[0] === b.key[0]
}

function repeated(change: Change): SignalboxError {
  return invalid(`${at(change)}: a commit may change a key only once`)
}

function checkPartition(partition: unknown): void {
  if (typeof partition === 'string' && ASCII.test(partition)) return
  throw invalid(`a partition must be 1 to 200 printable ASCII characters, got ${show(partition)}`)
}

function checkKeyPart(key: unknown, keys: StoreLimits['keys'], what: string): void {
  if (keys === 'decimal') {
    if (typeof key === 'string' && DECIMAL.test(key)) return
    throw invalid(`${what}: this store takes keys of exactly 15 digits (decimalKey), got ${show(key)}`)
  }
  if (typeof key === 'string' && ASCII.test(key)) return
  throw invalid(`${what} must be 1 to 200 printable ASCII characters, got ${show(key)}`)
}

/** Where and why a value is not plain JSON, as `.a[3] is undefined`; undefined when it is. */
function notJson(value: unknown, depth: number): string | undefined {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return undefined
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : ` is ${value}`
  if (value === undefined) return ' is undefined'
  if (typeof value !== 'object') return ` is a ${typeof value}`
  if (depth >= MAX_DEPTH) return ` is nested deeper than ${MAX_DEPTH} levels or contains itself`
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const problem = notJson(value[i], depth + 1)
      if (problem !== undefined) return `[${i}]${problem}`
    }
    return undefined
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    return ` is a ${(value.constructor as { name?: string } | undefined)?.name ?? 'class instance'}`
  }
  for (const name of Object.keys(value)) {
    const problem = notJson((value as Record<string, unknown>)[name], depth + 1)
    if (problem !== undefined) return `.${name}${problem}`
  }
  return undefined
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function at(change: Change): string {
  return `change of ${show(change.key[0])} ${show(change.key[1])}`
}

/** An argument in a message: one short line, whatever it is. */
function show(value: unknown): string {
  if (typeof value === 'string') return `'${JSON.stringify(value.slice(0, 60)).slice(1, -1)}'`
  if (typeof value === 'number' || typeof value === 'boolean' || value == null) return String(value)
  if (Array.isArray(value)) return `an array of ${value.length}`
  return `a ${typeof value}`
}

function invalid(message: string): SignalboxError {
  return new SignalboxError('invalid_argument', message)
}
