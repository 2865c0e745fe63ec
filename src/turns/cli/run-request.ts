/** What `turn run` and `turn agent start` were asked for, checked: arguments and flags in, a request out, no call made. */
import { invalidInput, onLostChoice, wholeNumber } from '../../cli/inputs.ts'
import { parseDuration } from '../../kernel/duration.ts'
import { isSignalboxError, SignalboxError } from '../../kernel/error.ts'
import {
  DEFAULT_STOP_GRACE_MS,
  DEFAULT_TTL_MS,
  joinBody,
  labels as labelsSchema,
  MAX_PERMITS,
  MAX_PRIORITY,
  MAX_TTL_MS,
  queueName,
} from '../api.ts'
import { holdTiming } from '../session/deadline.ts'

/** As commander gives them. */
export interface MemberFlags {
  readonly permits?: string
  readonly priority?: string
  readonly ttl?: string
  readonly lease?: string
  readonly stopGrace?: string
  readonly label?: readonly string[]
}

export interface RunFlags extends MemberFlags {
  readonly waitTimeout?: string
  readonly onLost?: string
  readonly json?: true
  readonly quiet?: true
}

/** How to join, whatever the turn is for. */
export interface MemberRequest {
  readonly queue: string
  readonly permits: number | undefined
  readonly priority: number | undefined
  readonly ttlMs: number
  readonly stopGraceMs: number
  readonly labels: Readonly<Record<string, string>>
}

export interface RunRequest extends MemberRequest {
  readonly command: string
  readonly args: readonly string[]
  readonly waitTimeoutMs: number | undefined
  readonly onLost: 'kill' | 'warn'
  readonly report: 'lines' | 'json' | 'quiet'
}

const PRIORITIES: Readonly<Record<string, number>> = { low: 25, normal: 50, high: 75, urgent: 90 }
const MAX_LABELS = 16

/** @throws SignalboxError `invalid_argument` that names the input and what to write */
export function runRequest(
  queue: string,
  words: readonly string[],
  flags: RunFlags,
  defaults: Readonly<Record<string, string>>,
): RunRequest {
  const name = queueArgument(queue)
  const [command, ...args] = words
  if (command === undefined || command === '') {
    throw invalidInput(
      'command',
      `command: missing; write it after --, for example: signalbox turn run ${name} -- make deploy`,
    )
  }
  return {
    ...memberRequest(name, flags, defaults),
    command,
    args,
    waitTimeoutMs:
      flags.waitTimeout === undefined ? undefined : parseDuration(flags.waitTimeout, '--wait-timeout'),
    onLost: onLostChoice(flags.onLost ?? 'kill'),
    report: flags.json === true ? 'json' : flags.quiet === true ? 'quiet' : 'lines',
  }
}

/** @throws SignalboxError `invalid_argument` that names the input and what to write */
export function memberRequest(
  queue: string,
  flags: MemberFlags,
  defaults: Readonly<Record<string, string>>,
): MemberRequest {
  return {
    queue: queueArgument(queue),
    permits:
      flags.permits === undefined
        ? undefined
        : wholeNumber(flags.permits, { flag: '--permits', min: 1, max: MAX_PERMITS }),
    priority: flags.priority === undefined ? undefined : priority(flags.priority),
    ...timing(flags),
    labels: labels(flags.label ?? [], defaults),
  }
}

/** @throws SignalboxError `invalid_argument` */
export function queueArgument(text: string): string {
  const parsed = queueName.safeParse(text)
  if (parsed.success) return parsed.data
  const why = parsed.error.issues[0]?.message ?? 'is not a name'
  throw invalidInput('queue', `queue: '${text.slice(0, 40)}' ${why}`)
}

function priority(text: string): number {
  if (Object.hasOwn(PRIORITIES, text)) return PRIORITIES[text] ?? 0
  if (/^\d/.test(text)) return wholeNumber(text, { flag: '--priority', min: 0, max: MAX_PRIORITY })
  throw invalidInput(
    '--priority',
    `--priority: '${text.slice(0, 40)}' must be low, normal, high, urgent or a number from 0 to ${MAX_PRIORITY}`,
  )
}

function timing(flags: RunFlags): { ttlMs: number; stopGraceMs: number } {
  const { ttl, lease } = flags
  if (ttl !== undefined && lease !== undefined && ttl !== lease) {
    throw invalidInput('--ttl', `--ttl and --lease: are the same and contradict each other; give one of them`)
  }
  const flag = ttl === undefined && lease !== undefined ? '--lease' : '--ttl'
  const given = ttl ?? lease
  const ttlMs = given === undefined ? DEFAULT_TTL_MS : parseDuration(given, flag)
  const stopGraceMs =
    flags.stopGrace === undefined ? DEFAULT_STOP_GRACE_MS : parseDuration(flags.stopGrace, '--stop-grace')
  if (!joinBody.shape.ttlMs.safeParse(ttlMs).success) {
    throw invalidInput(flag, `${flag}: '${given}' must be from 1s to ${MAX_TTL_MS / 3_600_000}h`)
  }
  try {
    holdTiming(ttlMs, stopGraceMs)
  } catch (error) {
    if (!isSignalboxError(error)) throw error
    throw new SignalboxError(error.code, error.message.replace(/^ttl:/, `${flag}:`), {
      cause: error,
      details: error.details,
    })
  }
  return { ttlMs, stopGraceMs }
}

/** The given labels, and as many of the default ones as there is room for. */
function labels(
  given: readonly string[],
  defaults: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const own: Record<string, string> = {}
  for (const text of given) {
    const at = text.indexOf('=')
    if (at < 1)
      throw invalidInput('--label', `--label: '${text.slice(0, 40)}' must be written key=value, with a key`)
    own[text.slice(0, at)] = text.slice(at + 1)
  }
  const parsed = labelsSchema.safeParse(own)
  if (!parsed.success) {
    const limits = `keys of 1 to 64 and values of up to 256 characters, at most ${MAX_LABELS} labels`
    throw invalidInput('--label', `--label: not within the limits: ${limits}`)
  }
  const rest = Object.entries(defaults).filter(([key]) => !Object.hasOwn(own, key))
  return { ...Object.fromEntries(rest.slice(0, MAX_LABELS - Object.keys(own).length)), ...own }
}
