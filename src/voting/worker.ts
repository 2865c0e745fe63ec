/**
 * The job that counts votes: whatever waits in the queue is folded, many votes at a time, into one commit of the ledger.
 *
 * A vote that is delivered again changes nothing; one whose id stands for another vote already goes to the dead-letter queue at
 * once, since no repetition will change that.
 */
import { defineJob } from '../jobs/define.ts'
import { SignalboxError } from '../kernel/error.ts'
import { voteInput, type VoteInput } from './api.ts'
import type { Counted, VoteCounter } from './counting.ts'

export interface RecordVoteDeps {
  readonly counter: Pick<VoteCounter, 'count'>
  /** Told what became of each vote. */
  readonly onCounted?: (status: Counted['status']) => void
}

/**
 * As many as one commit of 100 changes takes, where a vote is two of them and all are for one or two topics; the counter splits
 * what does not fit.
 */
const BATCH = 49

export const recordVote = defineJob<typeof voteInput, RecordVoteDeps>({
  name: 'record-vote',
  description: 'Counts votes',
  queue: 'votes',
  input: voteInput,
  unique: false,
  // An hour and more: a ledger that is down for a while costs no vote its place in the queue.
  retry: { attempts: 20, minDelay: '1s', maxDelay: '15m' },
  batch: { max: BATCH, within: '20ms' },
  runBatch: async (items, { deps }) => {
    const counted = await deps.counter.count(items.map(({ input }) => input))
    return counted.map((result, i) => {
      deps.onCounted?.(result.status)
      return result.status === 'conflict' ? conflict(items[i]?.input, result) : undefined
    })
  },
})

function conflict(asked: VoteInput | undefined, { vote }: Counted): SignalboxError {
  return new SignalboxError(
    'conflict',
    `vote '${vote.id}' was counted for choice '${vote.choice_id}' of topic '${vote.topic_id}' already, not for choice '${asked?.choice_id}' of topic '${asked?.topic_id}'`,
    { details: { retry: false } },
  )
}
