/**
 * The planted faults: each breaks one thing that the rules, the records or the service of leases must do, and a run with it must
 * end with a broken invariant. A snippet that is not found exactly once is an error: change it together with the code.
 */
import type { Mutant } from '../../simulator/mutants.ts'

const edit = (file: string, find: string, replace: string): Mutant['edits'][number] => ({
  file: `src/leases/${file}`,
  find,
  replace,
})

export const mutants: readonly Mutant[] = [
  {
    name: 'ties-are-completed',
    fault: 'a request of the holder’s own priority is told completed',
    edits: [
      edit(
        'state.ts',
        'sha !== holder.sha && priority < holder.priority && spared',
        'sha !== holder.sha && priority <= holder.priority && spared',
      ),
    ],
  },
  {
    name: 'fallen-priority-is-completed',
    fault: 'a request whose priority falls while the batch drains is told completed',
    edits: [edit('rules.ts', 'return { ...entry, spared: holder.fence }', 'return entry')],
  },
  {
    name: 'holder-never-expires',
    fault: 'a dead holder keeps the lease for ever',
    edits: [
      edit('settle.ts', 'if (moment.now < deadline(holder, moment, config)) return', 'if (batch > 0) return'),
    ],
  },
  {
    name: 'holder-expires-early',
    fault: 'a holder loses its lease before its time',
    edits: [edit('settle.ts', 'Math.max(holder.expiresAt, missed) + slackMs', 'holder.expiresAt - 30_000')],
  },
  {
    name: 'nobody-is-forgotten',
    fault: 'silent requests stay known, so a dead higher one blocks the rest',
    edits: [edit('settle.ts', 'moment.now - heard > config.ttlMs + moment.slackMs', 'heard < 0')],
  },
  {
    name: 'the-living-are-forgotten',
    fault: 'a request is forgotten before its ttl',
    edits: [
      edit(
        'settle.ts',
        'moment.now - heard > config.ttlMs + moment.slackMs',
        'moment.now - heard > config.ttlMs / 2',
      ),
    ],
  },
  {
    name: 'fence-repeats-after-clear',
    fault: 'a clear resets the fence',
    edits: [edit('rules.ts', 'from: rest.seq + 1, updatedAt', 'from: rest.seq + 1, fence: 0, updatedAt')],
  },
  {
    name: 'newcomers-during-failover',
    fault: 'after a failure anybody may come in',
    edits: [
      edit(
        'rules.ts',
        'return header.holder !== undefined || header.failed !== undefined',
        'return header.holder !== undefined',
      ),
    ],
  },
  {
    name: 'failover-locks',
    fault: 'a failed batch of which nobody is left is never over',
    edits: [
      edit(
        'settle.ts',
        'header.holder === undefined && entries.size === 0) endBatch(scene)',
        'header.holder === undefined && entries.size < 0) endBatch(scene)',
      ),
    ],
  },
  {
    name: 'lower-first',
    fault: 'whoever polls first is granted',
    edits: [
      edit('rules.ts', 'if (other.priority > priority) return false', 'if (other.seq < 0) return false'),
    ],
  },
  {
    name: 'no-window',
    fault: 'the window and the count are not waited for',
    edits: [edit('rules.ts', 'now - header.stableSince >= config.stabilizeMs', 'now >= header.stableSince')],
  },
  {
    name: 'returns-into-any-batch',
    fault: 'anybody may come in who was forgotten once, in whatever batch',
    edits: [
      edit(
        'rules.ts',
        "outcome?.as === 'evicted' && outcome.batch === header.batch",
        "outcome?.as === 'evicted'",
      ),
    ],
  },
  {
    name: 'outcomes-forgotten',
    fault: 'a release that is repeated after its answer was lost is refused',
    edits: [edit('provider-store.ts', 'if (mine !== undefined) found.set(sha, mine)', '')],
  },
  {
    name: 'drain-cut-short',
    fault: 'the batch ends although not everybody was told',
    edits: [
      edit(
        'rules.ts',
        'if (isBelow(entry, holder)) return\n  endBatch',
        'if (entry.seq < 0) return\n  endBatch',
      ),
    ],
  },
  {
    name: 'header-unguarded',
    fault: 'a commit does not expect the header it was decided on, so two servers both grant',
    edits: [
      edit(
        'provider-store.ts',
        "this.version === undefined ? 'absent' : { version: this.version }",
        "this.version === undefined ? 'absent' : 'present'",
      ),
    ],
  },
  {
    name: 'answered-before-durable',
    fault: 'a commit that was refused is taken for made',
    edits: [
      edit(
        'provider-actor.ts',
        "this.#again('conflict')\n",
        "this.#again('conflict')\n      if (attempt >= 0) return true\n",
      ),
    ],
  },
  {
    name: 'cool-down-ignored',
    fault: 'somebody is granted right after a holder was taken for dead',
    edits: [edit('rules.ts', 'now < header.coolUntil) return false', 'now < 0) return false')],
  },
  {
    name: 'no-grace-after-a-restart',
    fault: 'requests are taken for silent by a time in which nobody could hear them',
    edits: [
      edit(
        'settle.ts',
        'Math.max(seenAt + moment.seenEveryMs, moment.heardSince)',
        'seenAt + moment.seenEveryMs',
      ),
    ],
  },
  {
    name: 'failure-without-history',
    fault: 'a hold that failed leaves no record',
    edits: [edit('rules.ts', "noteEnd(scene, draft.entries.get(request.sha) as Entry, 'failure')", '')],
  },
  {
    name: 'eviction-without-history',
    fault: 'a request that is forgotten leaves no record',
    edits: [edit('settle.ts', "noteEnd(scene, entry, 'evicted')", '')],
  },
  {
    name: 'history-after-the-drop',
    fault: 'a holder that expired is recorded as if it had never held',
    edits: [
      edit('settle.ts', "noteEnd(scene, draft.entries.get(sha) as Entry, 'expired')", ''),
      edit(
        'settle.ts',
        '  dropHolder(scene, holder, true)',
        "  const entry = draft.entries.get(sha) as Entry\n  dropHolder(scene, holder, true)\n  noteEnd(scene, entry, 'expired')",
      ),
    ],
  },
  {
    name: 'history-written-apart',
    fault: 'history is committed with a later state, not with the end it tells of',
    edits: [
      edit('provider-actor.ts', 'changes: [...prepared.changes, ...beside]', 'changes: prepared.changes'),
    ],
  },
]
