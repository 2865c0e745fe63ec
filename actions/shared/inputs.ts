/** Inputs of a step, as the runner hands them over: an input that was not given reads as undefined (it is an empty text). */
import { getInput, setSecret } from '@actions/core'
import { SignalboxError } from '../../src/kernel/error.ts'

/** The environment of a step. */
export type Env = Readonly<Record<string, string | undefined>>

export function input(name: string): string | undefined {
  return getInput(name) || undefined
}

/** An object with the key, if there is a value. */
export function given<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [key]: value } as Record<K, V>)
}

/** What messages repeat of an input. */
export function shown(text: string): string {
  return text.slice(0, 40)
}

export function invalid(name: string, why: string): SignalboxError {
  return new SignalboxError('invalid_argument', `${name}: ${why}`, { details: { field: name } })
}

/** Hides a credential in the log, and what of it stands by itself elsewhere: `Bearer` and `Basic` are no secrets. */
export function maskCredential(text: string | undefined): void {
  if (text === undefined) return
  setSecret(text)
  for (const part of text.split(/\s+/).slice(1)) if (part.length > 3) setSecret(part)
}
