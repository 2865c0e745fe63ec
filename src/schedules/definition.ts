/** Definitions: what a patch makes of one, whether two say the same, secrets in them, and what is refused when one is saved. Pure. */
import { SignalboxError } from '../kernel/error.ts'
import type { Json } from '../ports/store.ts'
import type { TriggerRule } from '../ports/trigger.ts'
import { MASK, masked } from '../runs/masking.ts'
import {
  MAX_PARAMETER_BYTES,
  scheduleDefinition,
  type ScheduleDefinition,
  type ScheduleInput,
  type SchedulePatch,
} from './api.ts'
import { checkTimeZone, firstPass } from './expression/time-zone.ts'
import type { Row } from './records.ts'
import { firstTime, timingOf, type Timing } from './timing.ts'

/** @throws SignalboxError `invalid_argument` */
export function definitionOf(input: ScheduleInput): ScheduleDefinition {
  const { success, data, error } = scheduleDefinition.safeParse(input)
  if (success) return data
  const issue = error.issues[0]
  const field = issue?.path.join('.') ?? ''
  throw invalid(field, `${field === '' ? 'schedule' : field}: ${issue?.message ?? 'is not valid'}`)
}

/** What is absent stays, null takes away. @throws SignalboxError `invalid_argument` */
export function patched(before: ScheduleDefinition, patch: SchedulePatch): ScheduleDefinition {
  const all = { ...before, ...patch }
  const kept = Object.entries(all).filter(([, value]) => value !== null && value !== undefined)
  return definitionOf(Object.fromEntries(kept) as ScheduleInput)
}

/** Do both say the same? The order of keys does not count. */
export function sameJson(a: unknown, b: unknown): boolean {
  return stable(a) === stable(b)
}

function stable(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([x], [y]) => (x < y ? -1 : 1)))
      : part,
  )
}

/** Do both fire at the same times? */
export function sameTiming(a: ScheduleDefinition, b: ScheduleDefinition): boolean {
  return (
    a.expression === b.expression &&
    a.timeZone === b.timeZone &&
    a.startAt === b.startAt &&
    a.endAt === b.endAt
  )
}

/** @throws SignalboxError `invalid_argument` for what can never be right, whenever it is looked at */
export function checkShape({ expression, timeZone, startAt, endAt, parameters }: ScheduleDefinition): void {
  checkTimeZone(timeZone)
  timingOf({ expression, timeZone, startAt, endAt }, 0)
  if (startAt !== undefined && endAt !== undefined && Date.parse(endAt) <= Date.parse(startAt)) {
    throw invalid('endAt', `endAt: '${endAt}' must be later than startAt, '${startAt}'`)
  }
  const bytes = Buffer.byteLength(JSON.stringify(parameters))
  if (bytes > MAX_PARAMETER_BYTES) {
    throw new SignalboxError(
      'payload_too_large',
      `parameters: ${bytes} bytes as JSON; a schedule takes ${MAX_PARAMETER_BYTES}`,
      { details: { field: 'parameters' } },
    )
  }
}

/** @throws SignalboxError `invalid_argument` when a schedule with these times would never fire */
export function checkFires(timing: Timing, { expression, timeZone }: ScheduleDefinition, now: number): void {
  if (firstTime(timing, now) !== undefined) return
  throw invalid('expression', `expression: '${expression}' ${whyNever(timing, timeZone, now)}`)
}

function whyNever({ expression, startAt, endAt }: Timing, timeZone: string, now: number): string {
  if (expression.kind === 'at') {
    const instant = firstPass(timeZone, expression.local)
    if (instant === undefined) {
      return `does not exist in ${timeZone}: the clocks are put forward past it on that day; choose another time`
    }
    if (instant <= now) return `is in the past (it is ${new Date(now).toISOString()}); choose a later time`
  }
  if (startAt !== undefined || endAt !== undefined) return 'never fires between startAt and endAt'
  return 'never fires again; choose later years'
}

/**
 * The parameters with their secrets: where the mask stands that views show, what was there before stays.
 * @throws SignalboxError `invalid_argument` where nothing was there before
 */
export function withSecrets(
  wanted: ScheduleDefinition,
  before: ScheduleDefinition | undefined,
  secrets: readonly string[],
): ScheduleDefinition {
  // Another job may not get at what was meant for this one.
  const old = before?.job === wanted.job ? before.parameters : {}
  const parameters = secrets.reduce<Json>(
    (value, path) => restore(value, old, path.split('.'), path),
    wanted.parameters,
  )
  return { ...wanted, parameters: parameters as ScheduleDefinition['parameters'] }
}

function restore(value: Json, old: Json | undefined, path: readonly string[], whole: string): Json {
  const [name, ...rest] = path
  if (name === undefined) {
    if (value !== MASK) return value
    if (old === undefined) {
      throw invalid(
        'parameters',
        `parameters: '${whole}' is secret, and there is only the mask that views show; give its value`,
      )
    }
    return old
  }
  if (isList(value)) {
    return value.map((one, at) => restore(one, isList(old) ? old[at] : undefined, path, whole))
  }
  if (!isObject(value) || !Object.hasOwn(value, name)) return value
  const before = isObject(old) && Object.hasOwn(old, name) ? old[name] : undefined
  return { ...value, [name]: restore(value[name] as Json, before, rest, whole) }
}

/** As people may see it. */
export function maskedDefinition(
  definition: ScheduleDefinition,
  secrets: readonly string[],
): ScheduleDefinition {
  const parameters = masked(definition.parameters, secrets) as ScheduleDefinition['parameters']
  return { ...definition, parameters }
}

/** As an external trigger keeps it. */
export function ruleOf(definition: Omit<Row, 'job'>): TriggerRule {
  const { name, expression, timeZone, enabled, description, anchor, startAt, endAt } = definition
  return {
    name,
    expression,
    timeZone,
    enabled,
    ...(description === undefined ? {} : { description }),
    ...(anchor === undefined ? {} : { anchor }),
    ...(startAt === undefined ? {} : { startAt }),
    ...(endAt === undefined ? {} : { endAt }),
  }
}

export function invalid(field: string, message: string): SignalboxError {
  return new SignalboxError('invalid_argument', message, field === '' ? {} : { details: { field } })
}

function isList(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}

function isObject(value: Json | undefined): value is { readonly [k: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
