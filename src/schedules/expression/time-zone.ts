/**
 * Time zones: from an instant to the local time there, and back. Local times are *floating*: milliseconds since 1970 as if the
 * local clock showed UTC. The rules are those of the tz database that comes with Node.
 *
 * Invariant: `firstPass` grows with its argument, so the instants of ascending local times ascend.
 */
import { SignalboxError } from '../../kernel/error.ts'
import { quoted } from './refuse.ts'

const HOUR_MS = 3_600_000
/**
 * No zone has changed its offset twice within this time since 1970, and none is half of it away from UTC.
 * (Looked at: all zones of tzdata 2026c until 2038; no two changes are closer than 60 hours.)
 */
const CALM_MS = 30 * HOUR_MS
/** Kept for each zone: three years of offsets. */
const MAX_SAMPLES = 1_000
/** More than there are; only odd spellings (`us/pacific`) could lead beyond it. */
const MAX_ZONES = 1_000

/** Abbreviations that Intl knows and the tz database does not; several are ambiguous (IST, BST, CST). */
const NOT_IANA = new Set(
  'ACT AET AGT ART AST BET BST CAT CNT CST CTT EAT ECT IET IST JST MIT NET NST PLT PNT PRT PST SST VST'.split(
    ' ',
  ),
)

/**
 * @returns the name
 * @throws SignalboxError `invalid_argument` when the tz database has no zone of that name
 */
export function checkTimeZone(name: string): string {
  const canonical = resolve(name)
  if (canonical === undefined || NOT_IANA.has(name.toUpperCase()) || /^(?:[+-]|SystemV\/)/i.test(name)) {
    throw refused(name, 'is not in the IANA database; write for example Europe/Berlin or UTC')
  }
  if (canonical !== name && canonical.toLowerCase() === name.toLowerCase()) {
    throw refused(name, `must be written ${canonical}`)
  }
  return name
}

function refused(name: string, why: string): SignalboxError {
  return new SignalboxError('invalid_argument', `time zone ${quoted(name)} ${why}`, {
    details: { field: 'timeZone' },
  })
}

function resolve(name: string): string | undefined {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: name }).resolvedOptions().timeZone
  } catch {
    return undefined
  }
}

/**
 * The offsets of one zone. Asking Intl costs a microsecond, so offsets are sampled and kept: where two neighbouring samples agree,
 * the offset does not change between them.
 */
class Offsets {
  readonly #format: Intl.DateTimeFormat
  readonly #samples = new Map<number, number>()

  constructor(timeZone: string) {
    this.#format = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' })
  }

  at(instant: number): number {
    const sample = Math.floor(instant / CALM_MS)
    const offset = this.#sampled(sample)
    return offset === this.#sampled(sample + 1) ? offset : this.#asked(instant)
  }

  #sampled(sample: number): number {
    const known = this.#samples.get(sample)
    if (known !== undefined) return known
    if (this.#samples.size >= MAX_SAMPLES) this.#samples.clear()
    const offset = this.#asked(sample * CALM_MS)
    this.#samples.set(sample, offset)
    return offset
  }

  #asked(instant: number): number {
    const text = this.#format.format(instant)
    const [, sign, hours, minutes, seconds = '0'] = /GMT([+-])(\d\d):(\d\d)(?::(\d\d))?$/.exec(text) ?? []
    if (sign === undefined) return 0
    const ms = Number(hours) * HOUR_MS + Number(minutes) * 60_000 + Number(seconds) * 1_000
    return sign === '-' ? -ms : ms
  }
}

const zones = new Map<string, Offsets>()

function offsetsOf(timeZone: string): Offsets {
  const known = zones.get(timeZone)
  if (known !== undefined) return known
  if (zones.size >= MAX_ZONES) zones.clear()
  const made = new Offsets(timeZone)
  zones.set(timeZone, made)
  return made
}

/** How far the local clock is ahead of UTC at that instant, in milliseconds. */
export function offsetAt(timeZone: string, instant: number): number {
  return offsetsOf(timeZone).at(instant)
}

/** The first instant at which the local clock shows `local`; undefined when the clock is put forward past it. */
export function firstPass(timeZone: string, local: number): number | undefined {
  const offsets = offsetsOf(timeZone)
  const before = offsets.at(local - CALM_MS / 2)
  const after = offsets.at(local + CALM_MS / 2)
  if (before === after) return local - before
  const offset = [Math.max(before, after), Math.min(before, after)].find(
    (candidate) => offsets.at(local - candidate) === candidate,
  )
  return offset === undefined ? undefined : local - offset
}
