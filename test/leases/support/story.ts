/**
 * A story of one provider that passes through every state: joins, a grant, renewals, a failure, the failover, a success, the drain, a
 * withdrawal and a clear. Time plays no part in it, so whoever repeats a call hears what it would have heard the first time.
 */
export interface Call {
  readonly do: 'acquire' | 'release' | 'clear'
  readonly sha: string
  readonly priority: number
  readonly leaseSeconds?: number
  readonly status?: 'success' | 'failure'
  /** `pending`, `acquired 1` (with its fence), `completed`, `failure`, `refused`, `cleared`. */
  readonly told: string
}

/** What the provider needs for the story. */
export const STORY_EXPECTS = 3

const acquire = (sha: string, priority: number, told: string, leaseSeconds?: number): Call => ({
  do: 'acquire',
  sha,
  priority,
  told,
  ...(leaseSeconds === undefined ? {} : { leaseSeconds }),
})
const release = (sha: string, priority: number, status: 'success' | 'failure', told: string): Call => ({
  do: 'release',
  sha,
  priority,
  status,
  told,
})
const clear: Call = { do: 'clear', sha: '', priority: 0, told: 'cleared' }

/** Calls that stand together are sent at once, in this order. */
export const story: readonly (readonly Call[])[] = [
  [acquire('a', 1, 'pending')],
  [acquire('b', 2, 'pending')],
  [acquire('c', 3, 'acquired 1', 600)],
  [acquire('c', 3, 'acquired 1', 600)],
  [acquire('a', 1, 'pending'), acquire('c', 3, 'acquired 1', 700), acquire('d', 4, 'refused')],
  [release('b', 2, 'success', 'refused')],
  [release('c', 3, 'failure', 'failure')],
  [acquire('d', 4, 'refused'), acquire('a', 1, 'pending')],
  [acquire('b', 2, 'acquired 2')],
  [acquire('a', 1, 'pending')],
  [release('b', 2, 'success', 'completed')],
  [acquire('d', 4, 'refused')],
  [acquire('a', 1, 'completed')],
  [release('a', 1, 'success', 'completed')],
  // The next batch, all of it at once.
  [acquire('d', 1, 'pending'), acquire('e', 2, 'pending'), acquire('f', 3, 'acquired 3')],
  [release('e', 2, 'failure', 'failure')],
  [release('f', 3, 'success', 'completed'), acquire('d', 1, 'completed')],
  [acquire('g', 5, 'pending')],
  [acquire('g', 6, 'pending')],
  [acquire('h', 4, 'pending'), acquire('i', 1, 'pending')],
  [acquire('g', 6, 'acquired 4')],
  [clear],
  [release('g', 6, 'success', 'refused')],
  [acquire('j', 1, 'pending'), acquire('k', 2, 'pending')],
  [acquire('l', 3, 'acquired 5')],
]

export const calls = story.flat()
