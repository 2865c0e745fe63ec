/** Reads what several commands take. */
import { SignalboxError } from '../kernel/error.ts'

/** @throws SignalboxError `invalid_argument` */
export function wholeNumber(text: string, bounds: { flag: string; min: number; max: number }): number {
  const { flag, min, max } = bounds
  const value = /^\d{1,9}$/.test(text.trim()) ? Number(text) : NaN
  if (value >= min && value <= max) return value
  throw invalidInput(flag, `${flag}: '${text.slice(0, 40)}' must be a whole number from ${min} to ${max}`)
}

/** @throws SignalboxError `invalid_argument` */
export function oneOf<const T extends string>(all: readonly T[], text: string, flag: string): T {
  const found = all.find((each) => each === text)
  if (found !== undefined) return found
  throw invalidInput(flag, `${flag}: '${text.slice(0, 40)}' must be one of ${all.join(', ')}`)
}

/** `kill` or `warn`. @throws SignalboxError `invalid_argument` */
export function onLostChoice(text: string): 'kill' | 'warn' {
  if (text === 'kill' || text === 'warn') return text
  throw invalidInput('--on-lost', `--on-lost: '${text.slice(0, 40)}' must be kill or warn`)
}

export function invalidInput(field: string, message: string): SignalboxError {
  return new SignalboxError('invalid_argument', message, { details: { field } })
}
