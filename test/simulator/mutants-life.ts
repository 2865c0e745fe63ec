/** Planted faults in leaving, evictions, wake-ups and acknowledgements. */
import type { Edit, Mutant } from './mutants.ts'

const rules = (find: string, replace: string): Edit => ({ file: 'src/turns/rules.ts', find, replace })
const commands = (find: string, replace: string): Edit => ({ file: 'src/turns/commands.ts', find, replace })
const actor = (find: string, replace: string): Edit => ({ file: 'src/turns/queue-actor.ts', find, replace })
const observer = (find: string, replace: string): Edit => ({ file: 'src/turns/observer.ts', find, replace })

export const lifeMutants: readonly Mutant[] = [
  {
    name: 'leave-not-idempotent',
    fault: 'a release that is repeated is told that there was nothing',
    edits: [
      rules(
        "if (end?.as === 'released' && (fence === undefined || fence === end.fence)) return 'released'",
        "if (end?.as === 'released' && (fence === undefined || fence === end.fence)) return 'gone'",
      ),
    ],
  },
  {
    name: 'stale-leave',
    fault: 'a leave decided on a stale queue does not carry the control record',
    edits: [rules('this.#decide({}) // or another server', '// or another server')],
  },
  {
    name: 'leave-without-a-mark',
    fault: 'leaving before the join arrives does not refuse the join',
    edits: [rules("this.changes.put(key, 'absent', asJson(tombstone), this.#now + MEMBER_KEPT_MS)", '')],
  },
  {
    name: 'holding-without-a-beat',
    fault: 'the answer "you hold" rests on an old beat',
    edits: [commands('t.beat(standing.grant)\n      break', 'break')],
  },
  {
    name: 'eviction-of-a-waiter-by-any-beat',
    fault: 'the eviction of a waiter does not expect the beat that was seen',
    edits: [
      rules(
        "this.#dropWaiter(entry, beat === null ? 'absent' : { version: beat })",
        "this.#dropWaiter(entry, 'present')",
      ),
    ],
  },
  {
    name: 'eviction-of-a-holder-by-any-beat',
    fault: 'the eviction of a holder does not expect the beat that was seen',
    edits: [
      rules(
        "const expect = beat === null ? 'absent' : { version: beat }",
        "const expect = 'present' as const",
      ),
    ],
  },
  {
    name: 'eviction-of-the-living',
    fault: 'a new beat does not start the observer anew',
    edits: [observer('    seen.beat = beat\n    seen.since = at\n', '    seen.beat = beat\n')],
  },
  {
    name: 'restart-without-grace',
    fault: 'a new observer takes what it sees first for a whole TTL old',
    edits: [
      observer(
        '    seen.beat = beat\n    seen.since = at\n',
        `    seen.since = seen.beat === undefined ? at - seen.watched.ttlMs : at
    seen.beat = beat\n`,
      ),
    ],
  },
  {
    name: 'lost-wake-up',
    fault: 'a release grants nothing',
    edits: [
      actor(
        'beatsOnly || transition.settle(',
        "beatsOnly || batch.some((b) => b.command.kind === 'leave') || transition.settle(",
      ),
    ],
  },
  {
    name: 'deaf-to-others',
    fault: 'a release on another server grants nothing here',
    edits: [
      {
        file: 'src/turns/queue-watch.ts',
        find: "await submit({ kind: 'settle' })",
        replace: 'await undefined',
      },
    ],
  },
  {
    name: 'acknowledged-without-commit',
    fault: 'a commit with an unknown outcome is taken for done',
    edits: [
      actor(
        "this.#again(error.code === 'throttled' ? 'throttled' : 'outcome_unknown', true)",
        "if (error.code === 'outcome_unknown') return changes.map(() => undefined)\n      this.#again('throttled', true)",
      ),
    ],
  },
]
