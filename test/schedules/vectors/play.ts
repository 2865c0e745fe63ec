/**
 * Vectors of schedule expressions: what must fire when, and what must be refused. `npm run vectors:cron` plays any file of them.
 *
 * The time zone is UTC where none is given.
 *
 * - `valid`: passes when the fires after `from` are exactly `next` (at most 5; fewer: there are no more within 30 years). A rate
 *   without an `anchor` is taken to have been created so that it fires at the first of `next`.
 * - `invalid`: passes when the expression or its time zone is refused, with a reason.
 */
import { readFileSync } from 'node:fs'
import { isSignalboxError } from '../../../src/kernel/error.ts'
import { upcoming } from '../../../src/schedules/expression/next.ts'
import { parseExpression } from '../../../src/schedules/expression/parse.ts'
import { checkTimeZone } from '../../../src/schedules/expression/time-zone.ts'

interface Valid {
  readonly id: string
  readonly expression: string
  readonly timezone?: string | null
  /** Exclusive; ISO 8601, UTC. */
  readonly from: string
  readonly anchor?: string | null
  readonly next: readonly string[]
}

interface Invalid {
  readonly id: string
  readonly expression: string
  readonly timezone?: string | null
}

export interface Vectors {
  readonly valid: readonly Valid[]
  readonly invalid: readonly Invalid[]
}

export interface Result {
  readonly passed: number
  /** One line each. */
  readonly failures: readonly string[]
}

const MOST_FIRES = 5

/** @throws Error with one line that says what is wrong with the file. */
export function readVectors(file: string): Vectors {
  const vectors: unknown = JSON.parse(readFileSync(file, 'utf8'))
  if (!isRecord(vectors)) throw new Error("must be an object with the lists 'valid' and 'invalid'")
  for (const [list, isEntry] of [
    ['valid', isValid],
    ['invalid', isInvalid],
  ] as const) {
    const entries = vectors[list]
    if (!Array.isArray(entries)) throw new Error(`the list '${list}' is missing`)
    const bad = entries.findIndex((entry) => !isEntry(entry))
    if (bad >= 0)
      throw new Error(`${list}[${bad}] is not a vector: ${JSON.stringify(entries[bad]).slice(0, 80)}`)
  }
  return vectors as unknown as Vectors
}

export function playVectors({ valid, invalid }: Vectors): Result {
  const problems = [
    ...valid.map((vector) => [vector.id, problemOfValid(vector)] as const),
    ...invalid.map((vector) => [vector.id, problemOfInvalid(vector)] as const),
  ]
  const failures = problems.flatMap(([id, problem]) => (problem === undefined ? [] : [`${id}: ${problem}`]))
  return { passed: problems.length - failures.length, failures }
}

function problemOfValid({ expression: text, from, anchor, next, ...rest }: Valid): string | undefined {
  const timezone = rest.timezone ?? 'UTC'
  try {
    const expression = parseExpression(text)
    const moment = {
      after: Date.parse(from),
      timeZone: checkTimeZone(timezone),
      anchor: Date.parse(anchor ?? next[0] ?? from),
    }
    const fires = upcoming(expression, moment, MOST_FIRES).map(iso)
    const wanted = next.map((time) => iso(Date.parse(time)))
    if (fires.join() === wanted.join()) return undefined
    return `${text} in ${timezone} after ${from}: fires ${list(fires)}, not ${list(wanted)}`
  } catch (error) {
    return `${text} in ${timezone}: ${oneLine(error)}`
  }
}

function problemOfInvalid({ expression, timezone }: Invalid): string | undefined {
  try {
    parseExpression(expression)
    checkTimeZone(timezone ?? 'UTC')
    return `${expression}: was taken`
  } catch (error) {
    if (isSignalboxError(error, 'invalid_argument') && error.message !== '') return undefined
    return `${expression}: refused without a reason: ${oneLine(error)}`
  }
}

function iso(instant: number): string {
  return new Date(instant).toISOString().replace('.000Z', 'Z')
}

function list(times: readonly string[]): string {
  return times.length === 0 ? 'never' : times.join(' ')
}

function oneLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll('\n', ' ')
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function isInvalid(value: unknown): value is Invalid {
  if (!isRecord(value)) return false
  const timezone = value['timezone'] ?? 'UTC'
  return (
    typeof value['id'] === 'string' && typeof value['expression'] === 'string' && typeof timezone === 'string'
  )
}

function isValid(value: unknown): value is Valid {
  if (!isRecord(value) || !isInvalid(value)) return false
  const { from, anchor, next } = value as Readonly<Record<string, unknown>>
  return isTime(from) && isTime(anchor ?? from) && Array.isArray(next) && next.every(isTime)
}

function isTime(value: unknown): boolean {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value))
}
