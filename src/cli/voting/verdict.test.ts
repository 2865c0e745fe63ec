import { expect, it } from 'vitest'
import { verdictText } from './verdict.ts'

const off = { topic_id: 't', choice_id: 'c', shard: '3', tally: 1, votes: 2 }

it('says in a line that all is well', () => {
  expect(verdictText({ topics: 1, votes: 1, differences: [] })).toBe('1 vote on 1 topic: the tallies agree\n')
})

it('says what differs, and what to do about it', () => {
  const open = verdictText({ topics: 2, votes: 20, differences: [{ ...off, repaired: false }] })
  expect(open).toContain(
    "20 votes on 2 topics: 1 tallies differ; 'signalbox voting verify --repair' puts them right\n",
  )
  expect(open).toContain('t      c       3      1      2      no\n')
  const done = verdictText({ topics: 2, votes: 20, differences: [{ ...off, repaired: true }] })
  expect(done).toContain('1 tallies differ, and were put right\n')
})
