/** What `turn doctor` finds: one check after the other, each with a status. */
import { formatDuration } from '../../../kernel/duration.ts'
import { toSignalboxError, type ErrorCode } from '../../../kernel/error.ts'
import type { Clock } from '../../../kernel/clock.ts'

/** `skip`: not looked at, since something that it needs failed, or was not asked for. */
export type Status = 'ok' | 'warn' | 'fail' | 'skip'

export interface Check {
  readonly check: string
  readonly status: Status
  /** One line; for a failure and a warning with what to do. */
  readonly message: string
  /** Of a failure: decides the exit code. */
  readonly code?: ErrorCode
}

export function ok(check: string, message: string): Check {
  return { check, status: 'ok', message }
}

export function warn(check: string, message: string): Check {
  return { check, status: 'warn', message }
}

export function skip(check: string, message: string): Check {
  return { check, status: 'skip', message }
}

export function fail(check: string, error: unknown): Check {
  const { code, message } = toSignalboxError(error)
  return { check, status: 'fail', message, code }
}

/** What cannot be looked at for want of another check. */
export function skipAll(checks: readonly string[], needed: string): Check[] {
  return checks.map((check) => skip(check, `not looked at: needs ${needed}`))
}

/** A promise's outcome as a value. */
export type Outcome<T> = { readonly value: T } | { readonly error: unknown }

export async function outcomeOf<T>(call: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await call() }
  } catch (error) {
    return { error }
  }
}

const CLOCK_WARNING_MS = 30_000
/** AWS refuses signatures that are further off (SigV4). */
const SIGNATURE_MS = 300_000

/**
 * This machine's clock against another's.
 * @param theirs what that clock says, and how far this may be off
 */
export function clockCheck(
  ours: number,
  theirs: { readonly ms: number; readonly uncertaintyMs: number },
  { whose, signs }: { readonly whose: string; readonly signs: boolean },
): Check {
  const offMs = Math.abs(ours - theirs.ms)
  if (offMs <= CLOCK_WARNING_MS + theirs.uncertaintyMs) {
    return ok(
      'clock',
      `this machine's is within ${formatDuration(Math.ceil((offMs + theirs.uncertaintyMs) / 1_000) * 1_000)} of ${whose}`,
    )
  }
  const off = `this machine's is ${formatDuration(offMs)} ${ours > theirs.ms ? 'ahead of' : 'behind'} ${whose}`
  const corrected =
    signs && offMs > SIGNATURE_MS
      ? '; AWS refuses what is signed so far off, which Signalbox corrects and other tools do not'
      : ''
  return warn('clock', `${off}${corrected}; set it, best by NTP (turns are safe all the same)`)
}

/** How long each of `times` calls takes, in ms; the median. */
export async function median(clock: Clock, times: number, call: () => Promise<unknown>): Promise<number> {
  const took: number[] = []
  for (let i = 0; i < times; i++) {
    const startedAt = clock.monotonic()
    await call()
    took.push(clock.monotonic() - startedAt)
  }
  return took.toSorted((a, b) => a - b)[Math.floor(times / 2)] ?? 0
}

const SLOW_MS = 1_000

/** @param took what was measured: `read` → ms */
export function latencyCheck(took: Readonly<Record<string, number>>): Check {
  const text = Object.entries(took)
    .map(([what, ms]) => `${what} ${formatDuration(ms)}`)
    .join(', ')
  if (Object.values(took).every((ms) => ms <= SLOW_MS)) return ok('latency', `${text} (median)`)
  return warn(
    'latency',
    `${text} (median): each step of a turn takes that long; use a region or server nearer by`,
  )
}
