/** Planted faults in what members without a server do. */
import type { Edit, Mutant } from './mutants.ts'

const edit =
  (file: string) =>
  (find: string, replace: string): Edit => ({ file: `src/turns/${file}`, find, replace })
const rules = edit('rules.ts')
const actor = edit('queue-actor.ts')
const reader = edit('queue-reader.ts')
const watch = edit('queue-watch.ts')

export const serverlessMutants: readonly Mutant[] = [
  {
    name: 'unseen-shape',
    fault: 'a change of the line in its middle is not told',
    serverless: true,
    edits: [rules('this.#decide({ shape: this.#control.shape + 1 })', 'this.#decide({})')],
  },
  {
    name: 'untold-departure',
    fault: 'who leaves from the end of the window is still in the line for others',
    serverless: true,
    edits: [rules('if (untold && this.#control.waiting > 0) this.#reshape()', '')],
  },
  {
    name: 'inbox-not-emptied',
    fault: 'a posted join stays in the inbox when it gets its ticket',
    serverless: true,
    edits: [rules("this.changes.delete([inboxPartition(this.#queue), key], 'present')", '')],
  },
  {
    name: 'posted-join-not-withdrawn',
    fault: 'who leaves before it has a ticket gets one later',
    serverless: true,
    edits: [
      rules(
        `      if (fence !== undefined) return 'gone'
      this.changes.delete([inboxPartition(this.#queue), standing.key], 'present')`,
        `      if (fence !== undefined) return 'gone'`,
      ),
    ],
  },
  {
    name: 'posted-join-denied',
    fault: 'a join that was posted is said not to have been applied',
    serverless: true,
    edits: [actor('      this.#unknown = true\n      this.#reader', '      this.#reader')],
  },
  {
    name: 'stale-for-ever',
    fault: 'what was once read is never read again while nobody contends',
    serverless: true,
    edits: [
      reader("attempt === 0 && !has('settle') && !has('set')", 'attempt === 0'),
      reader('= 500', '= 50_000_000'),
    ],
  },
  {
    name: 'looks-too-late',
    fault: 'a deep waiter does not notice in time that it is in the window',
    serverless: true,
    edits: [
      watch('const pollMs = Math.floor(this.#interval(', 'const pollMs = 100 * Math.floor(this.#interval('),
    ],
  },
  {
    name: 'impatient-observers',
    fault: 'somebody is evicted before it was silent for a whole TTL',
    serverless: true,
    edits: [edit('observer.ts')('at - since >= watched.ttlMs', 'at - since >= watched.ttlMs / 2')],
  },
]
