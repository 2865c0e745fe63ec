/** Planted faults in the member's session: what a holder believes about its own turn. */
import type { Edit, Mutant } from './mutants.ts'

const deadline = (find: string, replace: string): Edit => ({
  file: 'src/turns/session/deadline.ts',
  find,
  replace,
})
const hold = (find: string, replace: string): Edit => ({ file: 'src/turns/session/hold.ts', find, replace })
const membership = (find: string, replace: string): Edit => ({
  file: 'src/turns/session/membership.ts',
  find,
  replace,
})

export const sessionMutants: readonly Mutant[] = [
  {
    name: 'deadline-without-margin',
    fault: 'a hold lasts its whole TTL',
    edits: [deadline('const at = proof.base + ttlMs - marginMs', 'const at = proof.base + ttlMs')],
  },
  {
    name: 'deadline-from-the-beats-answer',
    fault: 'a beat counts from its answer',
    edits: [
      hold(
        'this.#proof = proofOf(sent, 0, clock.monotonic())',
        'this.#proof = proofOf(momentOf(clock), 0, clock.monotonic())',
      ),
    ],
  },
  {
    name: 'deadline-from-the-grants-answer',
    fault: 'a grant counts from its answer, whatever `elapsedMs` says',
    edits: [
      deadline(
        'const elapsed = Math.min(Math.max(0, elapsedMs), receivedAt - sent.mono)',
        'const elapsed = elapsedMs === 0 ? 0 : receivedAt - sent.mono',
      ),
    ],
  },
  {
    name: 'suspension-unnoticed',
    fault: 'a suspended machine does not lose its turn',
    edits: [
      deadline(
        'return ahead > marginMs / 2 ? ahead : undefined',
        'return ahead > Infinity ? ahead : undefined',
      ),
      deadline('wallAt: at + proof.skew + marginMs / 2', 'wallAt: Infinity'),
    ],
  },
  {
    name: 'gives-up-without-leaving',
    fault: 'a join without an answer counts as not made: nobody leaves for it',
    edits: [membership("if (before === 'no') this.#joined = 'maybe'", '')],
  },
  {
    name: 'release-without-a-repeat',
    fault: 'a release whose answer is lost counts as done',
    edits: [
      hold(
        'if (!isTransient(error)) throw error',
        "if (isTransient(error)) return 'released'\n        throw error",
      ),
    ],
  },
]
