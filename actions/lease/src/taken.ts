/**
 * What the main step leaves for its post step, in the one-step form. No secret is part of it: the runner keeps it in a file.
 *
 * Invariant: a request is noted before it is sent, so that the post step finds what a main step that was killed has left.
 */
import { getState, saveState } from '@actions/core'
import type { MergeGroup } from './merge-group.ts'

export interface Taken {
  readonly url: string
  readonly group: MergeGroup
  readonly priority: number
}

/** Undefined: the main step was killed, or could not withdraw. */
export type TakenEnd = 'acquired' | 'completed' | 'withdrawn' | undefined

export function noteRequest(taken: Taken): void {
  saveState('request', JSON.stringify(taken))
}

export function noteEnd(end: NonNullable<TakenEnd>): void {
  saveState('end', end)
}

/** Undefined: the main step asked for nothing that this post step has to give back. */
export function notedRequest(): (Taken & { readonly end: TakenEnd }) | undefined {
  const text = getState('request')
  if (text === '') return undefined
  const end = (['acquired', 'completed', 'withdrawn'] as const).find((name) => name === getState('end'))
  return { ...(JSON.parse(text) as Taken), end }
}
