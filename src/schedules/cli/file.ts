/**
 * The file that `schedule apply` reads and `schedule export` prints: YAML or JSON, `schedules: […]`, each entry a definition, whose
 * durations may be written as text under shorter names (`missedWindow: 6h` for `missedWindowMs: 21600000`).
 */
import { parseDuration } from '../../kernel/duration.ts'
import { isSignalboxError, SignalboxError } from '../../kernel/error.ts'
import { scheduleDefinition, type ScheduleDefinition, type ScheduleView } from '../api.ts'
import { parseExpression } from '../expression/parse.ts'
import { checkTimeZone } from '../expression/time-zone.ts'
import { problemText } from './problems.ts'
import { exactDuration } from './times.ts'

const DURATIONS = {
  missedWindow: 'missedWindowMs',
  jitter: 'jitterMs',
  timeout: 'timeoutMs',
  retention: 'retentionMs',
} as const

/** What a file says of a schedule. Without `enabled` it leaves that to people, who pause and resume. */
export type Wanted = Omit<ScheduleDefinition, 'enabled'> & { readonly enabled?: boolean }

/**
 * @param shown what messages call the file
 * @throws SignalboxError `invalid_argument` with all problems, one line each
 */
export async function readSchedules(text: string, shown: string): Promise<readonly Wanted[]> {
  const entries = entriesIn(await parsed(text, shown), shown)
  const definitions: Wanted[] = []
  const problems: string[] = []
  entries.forEach((entry, index) => {
    try {
      definitions.push(definitionIn(entry))
    } catch (error) {
      if (!isSignalboxError(error, 'invalid_argument')) throw error
      problems.push(`${shown}: schedules[${index}]${nameIn(entry)}: ${error.message}`)
    }
  })
  const seen = new Set<string>()
  for (const { name } of definitions) {
    if (seen.has(name)) problems.push(`${shown}: '${name}' stands there twice`)
    seen.add(name)
  }
  if (problems.length > 0) throw new SignalboxError('invalid_argument', problems.join('\n'))
  return definitions
}

async function parsed(text: string, shown: string): Promise<unknown> {
  const { parseDocument } = await import('yaml')
  const document = parseDocument(text, { prettyErrors: true })
  const [error] = document.errors
  const refused = (why: string): SignalboxError =>
    new SignalboxError(
      'invalid_argument',
      `${shown}: not valid YAML: ${why.replaceAll(/\s+/g, ' ').slice(0, 200)}`,
    )
  if (error !== undefined) throw refused(error.message)
  try {
    return document.toJS() as unknown
  } catch (thrown) {
    throw refused((thrown as Error).message) // aliases without end
  }
}

function entriesIn(content: unknown, shown: string): readonly unknown[] {
  const others = isSection(content) ? Object.keys(content).filter((key) => key !== 'schedules') : []
  const list = isSection(content) ? content['schedules'] : undefined
  if (Array.isArray(list) && others.length === 0) return list
  const why = others.length === 0 ? '' : ` (it has ${others.join(', ').slice(0, 60)})`
  throw new SignalboxError(
    'invalid_argument',
    `${shown}: must be a list under the one key 'schedules'${why}; 'signalbox schedule export' prints such a file`,
  )
}

/** @throws SignalboxError `invalid_argument` */
function definitionIn(entry: unknown): Wanted {
  if (!isSection(entry)) throw new SignalboxError('invalid_argument', 'is not a list of keys and values')
  const data: Record<string, unknown> = { ...entry }
  const written = new Map<string, string>()
  for (const [short, key] of Object.entries(DURATIONS)) {
    if (!Object.hasOwn(data, short)) continue
    if (Object.hasOwn(data, key))
      throw new SignalboxError('invalid_argument', `${short} and ${key}: give one of them`)
    data[key] = parseDuration(String(data[short]), short)
    written.set(key, short)
    delete data[short]
  }
  const result = scheduleDefinition.safeParse(data)
  if (!result.success) {
    const problem = problemText(result.error, data, ([key, ...inner]) =>
      [written.get(key) ?? key, ...inner].join('.'),
    )
    throw new SignalboxError('invalid_argument', problem)
  }
  parseExpression(result.data.expression)
  checkTimeZone(result.data.timeZone)
  const { enabled, ...rest } = result.data
  return Object.hasOwn(data, 'enabled') ? { ...rest, enabled } : rest
}

/** What a view says as a definition, with its defaults. */
export function definitionOfView(view: ScheduleView): ScheduleDefinition {
  const keys = Object.keys(scheduleDefinition.shape)
  const own = Object.entries(view).filter(([key, value]) => keys.includes(key) && value !== undefined)
  return scheduleDefinition.parse(Object.fromEntries(own))
}

/** As one would write it: without defaults, durations as text. */
export function entryOf(definition: ScheduleDefinition): Record<string, unknown> {
  const { name, job, expression } = definition
  const defaults: Record<string, unknown> = scheduleDefinition.parse({ name, job, expression })
  const shortNames = new Map<string, string>(Object.entries(DURATIONS).map(([short, key]) => [key, short]))
  const entry: Record<string, unknown> = { name, job, expression }
  for (const [key, value] of Object.entries(definition)) {
    if (Object.hasOwn(entry, key) || value === undefined || same(value, defaults[key])) continue
    const short = shortNames.get(key)
    if (short === undefined) entry[key] = value
    else entry[short] = exactDuration(value as number)
  }
  return entry
}

/** Of JSON values; the order of keys says nothing. */
export function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b))
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (!isSection(value)) return value
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined)
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)] as const).sort(byKey))
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1
}

function nameIn(entry: unknown): string {
  const name = isSection(entry) ? entry['name'] : undefined
  return typeof name === 'string' ? ` '${name.slice(0, 64)}'` : ''
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
