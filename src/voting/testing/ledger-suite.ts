/**
 * The contract suite of the vote ledger. Every engine's ledger runs it; what it does not check, the port does not promise.
 *
 * Invariants: every test has topics and votes of its own, so it also runs against tables that others use; nothing sleeps.
 */
import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  ADOPTED,
  sumShards,
  type LedgerPage,
  type StoredTopic,
  type StoredVote,
  type VoteLedger,
} from '../ledger.ts'
import { naiveTime } from '../naive-time.ts'

const START = Date.UTC(2026, 0, 1) * 1_000

export function topicOf(more: Partial<StoredTopic> = {}): StoredTopic {
  const created = naiveTime(START)
  const choices = [
    { id: randomUUID(), description: 'Woodworker' },
    { id: randomUUID(), description: 'Bäcker 🥐' },
  ]
  return {
    id: randomUUID(),
    created,
    last_upd: created,
    is_active: true,
    title: 'What?',
    choices,
    retired: [],
    ...more,
  }
}

function voteOf(topic_id: string, more: Partial<StoredVote> = {}): StoredVote {
  const counted = { shard: '3', fold: 1 }
  return { id: randomUUID(), topic_id, choice_id: 'one', created: naiveTime(START), counted, ...more }
}

async function all<T>(page: (after: string | undefined) => Promise<LedgerPage<T>>): Promise<readonly T[]> {
  const found: T[] = []
  let after: string | undefined
  do {
    const { entries, next } = await page(after)
    found.push(...entries)
    after = next
  } while (after !== undefined)
  return found
}

/** @param open the ledger under test; it is not closed */
export function ledgerConformance(name: string, open: () => VoteLedger): void {
  const fresh = (topic_id: string, shard = '3') => ({
    topic_id,
    shard,
    fold: 0,
    counts: {},
    version: undefined,
  })

  describe(`vote ledger: ${name}`, () => {
    describe('topics', () => {
      it('are created once and read as they are', async () => {
        const ledger = open()
        const topic = topicOf({ retired: ['gone'], is_active: false })
        expect(await ledger.getTopic(topic.id)).toBeUndefined()
        expect(await ledger.createTopic(topic)).toBe(true)
        expect(await ledger.getTopic(topic.id)).toEqual(topic)
        expect(await ledger.createTopic({ ...topic, title: 'other' })).toBe(false)
        expect(await ledger.getTopic(topic.id)).toEqual(topic)
      })

      it('are replaced only over the state that was read', async () => {
        const ledger = open()
        const topic = topicOf({ choices: [] })
        expect(await ledger.replaceTopic(topic, topic.last_upd)).toBe(false)
        await ledger.createTopic(topic)
        const next = { ...topic, title: 'next', last_upd: naiveTime(START + 1) }
        expect(await ledger.replaceTopic(next, naiveTime(START + 7))).toBe(false)
        expect(await ledger.replaceTopic(next, topic.last_upd)).toBe(true)
        expect(await ledger.replaceTopic({ ...next, title: 'late' }, topic.last_upd)).toBe(false)
        expect(await ledger.getTopic(topic.id)).toEqual(next)
        const listed = await all((after) => ledger.listTopics({ limit: 100, after }))
        expect(listed.filter(({ id }) => id === topic.id)).toEqual([next])
      })

      it('are listed page by page, each once', async () => {
        const ledger = open()
        const topics = Array.from({ length: 5 }, (_, i) => topicOf({ created: naiveTime(START + i) }))
        for (const topic of topics) await ledger.createTopic(topic)
        const listed = await all((after) => ledger.listTopics({ limit: 2, after }))
        const ids = listed.map(({ id }) => id)
        expect(new Set(ids).size).toBe(ids.length)
        expect(topics.every(({ id }) => ids.includes(id))).toBe(true)
      })
    })

    describe('a fold', () => {
      it('puts votes and shards', async () => {
        const ledger = open()
        const [a, b] = [randomUUID(), randomUUID()]
        const votes = [voteOf(a), voteOf(a, { choice_id: 'two' }), voteOf(b, { choice_id: '__proto__' })]
        const shards = [
          { ...fresh(a), fold: 1, counts: { one: 1, two: 1 } },
          { ...fresh(b), fold: 1, counts: Object.fromEntries([['__proto__', 1]]) },
        ]
        const result = await ledger.commit({ votes, shards })
        expect(result).toEqual({ ok: true, versions: [expect.any(String), expect.any(String)] })
        const found = await ledger.getVotes([...votes.map(({ id }) => id), randomUUID()])
        expect(new Map(found)).toEqual(new Map(votes.map((vote) => [vote.id, vote])))
        const versions = result.ok ? result.versions : []
        const expected = shards.map((shard, i) => ({ ...shard, version: versions[i] }))
        expect([await ledger.getShard(a, '3'), await ledger.getShard(b, '3')]).toEqual(expected)
        expect(
          sumShards(await ledger.getShards([b]))
            .get(b)
            ?.get('__proto__'),
        ).toBe(1)
      })

      it('changes nothing when a vote is there, and names it', async () => {
        const ledger = open()
        const topic = randomUUID()
        const [there, other] = [voteOf(topic), voteOf(topic)]
        await ledger.commit({ votes: [there], shards: [{ ...fresh(topic), fold: 1, counts: { one: 1 } }] })
        const shard = await ledger.getShard(topic, '3')
        const late = { ...there, created: naiveTime(START + 99), choice_id: 'two' }
        const next = { ...shard, fold: 2, counts: { one: 3 } }
        const result = await ledger.commit({ votes: [other, late], shards: [next] })
        expect(result).toMatchObject({ ok: false })
        if (!result.ok && result.votes !== 'unknown')
          expect(result).toEqual({ ok: false, votes: [there.id], shards: [] })
        expect([...(await ledger.getVotes([there.id, other.id])).values()]).toEqual([there])
        expect(await ledger.getShard(topic, '3')).toEqual(shard)
      })

      it('changes nothing when a shard is not as it was read, and names its topic', async () => {
        const ledger = open()
        const topic = randomUUID()
        const first = { ...fresh(topic), fold: 1, counts: { one: 1 } }
        expect((await ledger.commit({ votes: [voteOf(topic)], shards: [first] })).ok).toBe(true)
        const read = await ledger.getShard(topic, '3')
        const second = { ...read, fold: 2, counts: { one: 2 } }
        expect((await ledger.commit({ votes: [voteOf(topic)], shards: [second] })).ok).toBe(true)
        for (const stale of [first, second]) {
          const vote = voteOf(topic)
          const result = await ledger.commit({ votes: [vote], shards: [stale] })
          expect(result.ok).toBe(false)
          if (!result.ok && result.votes !== 'unknown')
            expect(result).toEqual({ ok: false, votes: [], shards: [topic] })
          expect((await ledger.getVotes([vote.id])).size).toBe(0)
        }
        expect(await ledger.getShard(topic, '3')).toMatchObject({ fold: 2, counts: { one: 2 } })
      })

      it('may be a shard alone, as a repair is', async () => {
        const ledger = open()
        const topic = randomUUID()
        const repaired = { ...fresh(topic, ADOPTED), fold: 1, counts: { one: 7 }, repairs: 2 }
        await ledger.commit({ votes: [], shards: [repaired] })
        expect(await ledger.getShard(topic, ADOPTED)).toMatchObject({ fold: 1, repairs: 2 })
        expect(sumShards(await ledger.getShards([topic])).get(topic)).toEqual(new Map([['one', 7]]))
      })

      it('takes as much as the limits say', async () => {
        const ledger = open()
        const { changes, changesAVote } = ledger.limits
        const topic = randomUUID()
        const votes = Array.from({ length: Math.floor((changes - 1) / changesAVote) }, () => voteOf(topic))
        const shards = [{ ...fresh(topic), fold: 1, counts: { one: votes.length } }]
        expect((await ledger.commit({ votes, shards })).ok).toBe(true)
        expect((await ledger.getVotes(votes.map(({ id }) => id))).size).toBe(votes.length)
      })
    })

    describe('a tally', () => {
      it('is the sum of all shards of its topic and of no other', async () => {
        const ledger = open()
        const topics = Array.from({ length: 30 }, () => randomUUID())
        for (const [i, topic] of topics.entries()) {
          const shards = [
            { ...fresh(topic, '0'), fold: 1, counts: { one: i, two: 1 } },
            { ...fresh(topic, ADOPTED), fold: 1, counts: { one: 1 } },
          ]
          await ledger.commit({ votes: [], shards })
        }
        const sums = sumShards(await ledger.getShards([...topics, randomUUID()]))
        expect(sums.size).toBe(topics.length)
        expect(topics.map((topic) => sums.get(topic)?.get('one'))).toEqual(topics.map((_, i) => i + 1))
      })
    })

    describe('votes', () => {
      it('of a topic are listed newest first, page by page', async () => {
        const ledger = open()
        const topic = randomUUID()
        const votes = Array.from({ length: 7 }, (_, i) =>
          voteOf(topic, { created: naiveTime(START + i * 3) }),
        )
        await ledger.commit({ votes, shards: [{ ...fresh(topic), fold: 1, counts: { one: 7 } }] })
        const listed = await all((after) => ledger.listVotes(topic, { limit: 3, after }))
        expect(listed).toEqual(votes.toReversed())
        expect(await ledger.listVotes(randomUUID(), { limit: 3 })).toEqual({ entries: [] })
      })

      it('are all scanned', async () => {
        const ledger = open()
        const topic = randomUUID()
        const votes = Array.from({ length: 40 }, () => voteOf(topic))
        await ledger.commit({ votes, shards: [{ ...fresh(topic), fold: 1, counts: { one: 40 } }] })
        const scanned = await all((after) => ledger.scanVotes(after))
        const own = scanned.filter(({ topic_id }) => topic_id === topic)
        expect(own.map(({ id }) => id).sort()).toEqual(votes.map(({ id }) => id).sort())
        expect(own[0]?.counted).toEqual({ shard: '3', fold: 1 })
      })
    })
  })
}
