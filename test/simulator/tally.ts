/** Everything a run injects, by kind, so that a run can show that no kind was left out. */
export const faultKinds = [
  // between a server and its store (drivers/memory/faults.ts)
  'store conflict',
  'store lostAfter',
  'store lostBefore',
  'store throttled',
  'store unavailable',
  'store full',
  'store delay',
  'store cut',
  'store hintDelayed',
  // between a member and a server
  'request lost',
  'request slow',
  'request very late',
  'request duplicated',
  'answer lost',
  'answer slow',
  'connection reset',
  'hang-up unnoticed',
  'server unreachable',
  'stray request',
  // servers
  'server closed',
  'server killed',
  'server frozen',
  'store clock jumped',
  // members
  'member killed',
  'member frozen',
  'member suspended',
  'wall clock jumped',
  'waiting aborted',
  'wait timed out',
  'hold abandoned',
] as const

export type FaultKind = (typeof faultKinds)[number]

export type Tally = Record<FaultKind, number>

export function emptyTally(): Tally {
  return Object.fromEntries(faultKinds.map((kind) => [kind, 0])) as Tally
}

export function addTally(to: Tally, from: Tally): void {
  for (const kind of faultKinds) to[kind] += from[kind]
}
