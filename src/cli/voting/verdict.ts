/** What `voting verify` says to people. */
import type { Difference, Verdict } from '../../voting/verify.ts'
import { table } from '../output.ts'
import { printable } from '../text.ts'

const HEAD = ['TOPIC', 'CHOICE', 'SHARD', 'TALLY', 'VOTES', 'REPAIRED']

/** @example 20000 votes on 3 topics: the tallies agree */
export function verdictText({ topics, votes, differences }: Verdict): string {
  const counted = `${votes} ${votes === 1 ? 'vote' : 'votes'} on ${topics} ${topics === 1 ? 'topic' : 'topics'}`
  if (differences.length === 0) return `${counted}: the tallies agree\n`
  const open = differences.some(({ repaired }) => !repaired)
  const remedy = open ? "; 'signalbox voting verify --repair' puts them right" : ', and were put right'
  return `${counted}: ${differences.length} tallies differ${remedy}\n${table([HEAD, ...differences.map(row)])}`
}

function row({ topic_id, choice_id, shard, tally, votes, repaired }: Difference): string[] {
  return [
    ...[topic_id, choice_id, shard].map(printable),
    String(tally),
    String(votes),
    repaired ? 'yes' : 'no',
  ]
}
