/**
 * What a member is told that has its grant but not yet the guard: it is the next, and who stands before it. The other tool's
 * jobs have no members, so one stand-in holds for all of them; people see its name where a holder's would be.
 */
import type { MemberView } from '../api.ts'
import { beatInterval } from '../timing.ts'
import type { Waiting } from './claim.ts'

const STAND_IN = { id: 'dynamo-q', fence: 0, labels: { name: 'jobs of the dynamo-q tool' } }

const REASONS = {
  jobs: 'jobs of the dynamo-q tool on this queue go first',
  settling: 'making sure that no job of the dynamo-q tool is at work on this queue',
}

/** @param waitedMs for how long jobs of the other tool have been waited for */
export function notYet(
  granted: MemberView,
  { waitsFor }: Waiting,
  waitedMs: number,
  elapsedMs: number,
): MemberView {
  const { fence: _, ...view } = granted
  return {
    ...view,
    state: 'waiting',
    position: 1,
    positionExact: true,
    inWindow: true,
    pollMs: beatInterval(view.ttlMs),
    holders: waitsFor === 'jobs' ? [{ ...STAND_IN, sinceMs: waitedMs }] : [],
    reason: REASONS[waitsFor],
    elapsedMs,
  }
}
