/**
 * The planted faults: each takes one step of the guard's protocol away, and a run with it must end with a broken invariant. A
 * snippet that is not found exactly once is an error: change it together with the code.
 */
import type { Edit, Mutant } from '../mutants.ts'

const edit =
  (name: string) =>
  (find: string, replace: string): Edit => ({ file: `src/turns/guard/${name}.ts`, find, replace })
const record = edit('record')
const claim = edit('claim')

export const mutants: readonly Mutant[] = [
  {
    name: 'no-settling',
    fault: 'the look that verifies follows the guard at once',
    edits: [record('SETTLE_MS = 5_000', 'SETTLE_MS = 0')],
  },
  {
    name: 'living-entries-unseen',
    fault: 'a guard is verified although somebody of theirs lives',
    edits: [claim('if (look.anyAlive) {', 'if (this.#lost !== undefined) {')],
  },
  {
    name: 'never-refreshed',
    fault: 'a guard that was secured once counts for ever',
    edits: [
      claim(
        'if (this.#leftMs() > (guardLife(this.holder.ttlMs) * 2) / 3) return',
        'if (this.secured) return',
      ),
      claim('return this.#leftMs() >= workAfterBeat(this.holder.ttlMs)', 'return this.secured'),
    ],
  },
  {
    name: 'uncovered-beats',
    fault: 'a beat is acknowledged whether or not the guard outlasts what it allows',
    edits: [claim('return this.#leftMs() >= workAfterBeat(this.holder.ttlMs)', 'return this.secured')],
  },
  {
    name: 'life-too-short',
    fault: 'a long hold TTL gets a guard of the usual life',
    edits: [
      record(
        'return Math.max(GUARD_LIFE_MS, Math.ceil(ttlMs * 1.5) + 15_000)',
        'return GUARD_LIFE_MS + ttlMs * 0',
      ),
      claim(
        'return this.#leftMs() >= workAfterBeat(this.holder.ttlMs)',
        'return this.#leftMs() >= LAPSE_MARGIN_MS',
      ),
    ],
  },
  {
    name: 'deleted-whatever-it-is',
    fault: 'a guard is deleted without expecting its version',
    edits: [
      record(
        "op: 'delete', key: guardKey(queue), expect: { version } }",
        "op: 'delete', key: guardKey(queue), expect: version === '' ? 'absent' : 'present' }",
      ),
    ],
  },
  {
    name: 'unverified-taken-over',
    fault: 'whoever finds a guard relies on it, verified or not',
    edits: [
      claim(
        'return guard.value.verified ? this.#takeOver(look, guard) : this.#verify(look, guard)',
        'return this.#placed === undefined ? this.#takeOver(look, guard) : this.#verify(look, guard)',
      ),
    ],
  },
  {
    name: 'taken-over-in-silence',
    fault: 'who takes a guard over does not write it, so who leaves does not know',
    edits: [
      claim(
        'if (!look.anyWaiting) return this.#rely(guard)',
        `if (!look.anyWaiting) {
          this.#reliance = { ...guard, safeUntil: look.sentAt + leftMs(guard.value, this.#context) }
          return { secured: true }
        }`,
      ),
    ],
  },
  {
    name: 'fence-not-counted-in',
    fault: 'who takes a guard over does not raise its fence',
    edits: [
      claim('const fence = Math.max(guard.value.fence, this.holder.fence)', 'const { fence } = guard.value'),
      claim('!value.verified || value.fence < fence', '!value.verified || fence < 0'),
    ],
  },
  {
    name: 'others-forgotten',
    fault: 'who leaves deletes the guard whoever else relies on it',
    edits: [record('return verified && holders.some(', 'return id === "" && verified && holders.some(')],
  },
  {
    name: 'no-quiet',
    fault: 'an entry that is gone means that its owner is',
    edits: [record('QUIET_MS = 25_000', 'QUIET_MS = 0')],
  },
  {
    name: 'dead-at-second-sight',
    fault: 'an entry that did not change between two looks counts as dead',
    edits: [record('DEAD_MS = 130_000', 'DEAD_MS = 0')],
  },
]
