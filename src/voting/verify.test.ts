import { describe, expect, it } from 'vitest'
import { memoryStore } from '../drivers/memory/index.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { VoteCounter } from './counting.ts'
import { sumShards, type VoteLedger } from './ledger.ts'
import { recordLedger } from './ledger/records.ts'
import { topicOf } from './testing/ledger-suite.ts'
import { verifyVotes, type Verdict } from './verify.ts'

const topic = topicOf()

async function setUp() {
  const clock = new ManualClock()
  const store = memoryStore({ clock })
  const ledger = recordLedger(store)
  const random = seededRandom(1)
  const counter = new VoteCounter({ ledger, clock, random })
  await ledger.createTopic(topic)
  const cast = (from: number, to: number) =>
    played(
      clock,
      counter.count(
        Array.from({ length: to - from }, (_, i) => ({
          id: `v${from + i}`,
          topic_id: topic.id,
          choice_id: i % 2 === 0 ? 'a' : 'b',
        })),
      ),
    )
  const verify = (repair = false, on: VoteLedger = ledger): Promise<Verdict> =>
    played(clock, verifyVotes({ ledger: on, clock, repair }))
  const tally = async () =>
    Object.fromEntries(sumShards(await ledger.getShards([topic.id])).get(topic.id) ?? [])
  return { clock, store, ledger, cast, verify, tally }
}

async function played<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  const state = { settled: false }
  const done = promise.finally(() => (state.settled = true))
  while (!state.settled) await clock.advance(100)
  return done
}

/** What the reference's worker writes: a vote, and no tally. */
async function foreignVotes(ledger: VoteLedger, from: number, to: number): Promise<void> {
  const votes = Array.from({ length: to - from }, (_, i) => ({
    id: `old${from + i}`,
    topic_id: topic.id,
    choice_id: 'a',
    created: '2021-12-28T00:48:55.871230',
  }))
  await ledger.commit({ votes, shards: [] })
}

describe('verify', () => {
  it('finds nothing where all is well', async () => {
    const { cast, verify } = await setUp()
    await cast(0, 120)
    expect(await verify()).toEqual({ topics: 1, votes: 120, differences: [] })
  })

  it('says what differs, and repairs it when told to', async () => {
    const { cast, ledger, verify, tally } = await setUp()
    await cast(0, 20)
    const [shard] = await ledger.getShards([topic.id])
    await ledger.commit({ votes: [], shards: [{ ...shard!, fold: shard!.fold + 1, counts: { a: 7, c: 2 } }] })
    const off = { topic_id: topic.id, shard: shard!.shard }
    const expected = [
      { ...off, choice_id: 'a', tally: 7, votes: 10 },
      { ...off, choice_id: 'c', tally: 2, votes: 0 },
      { ...off, choice_id: 'b', tally: 0, votes: 10 },
    ]
    expect((await verify()).differences).toEqual(expected.map((each) => ({ ...each, repaired: false })))
    expect(await tally()).toEqual({ a: 7, c: 2 })
    expect((await verify(true)).differences).toEqual(expected.map((each) => ({ ...each, repaired: true })))
    expect(await tally()).toEqual({ a: 10, b: 10 })
    expect((await verify()).differences).toEqual([])
    await cast(20, 40)
    expect(await tally()).toEqual({ a: 20, b: 20 })
  })

  it('adopts the votes of another program, also those that come later', async () => {
    const { cast, ledger, verify, tally } = await setUp()
    await cast(0, 10)
    await foreignVotes(ledger, 0, 30)
    expect(await tally()).toEqual({ a: 5, b: 5 })
    expect((await verify(true)).differences).toMatchObject([
      { shard: 'adopted', tally: 0, votes: 30, repaired: true },
    ])
    expect(await tally()).toEqual({ a: 35, b: 5 })
    await foreignVotes(ledger, 30, 35)
    expect((await verify(true)).differences).toMatchObject([{ shard: 'adopted', tally: 30, votes: 35 }])
    expect((await verify()).differences).toEqual([])
  })

  it('restores tallies that were lost altogether', async () => {
    const { cast, store, ledger, verify, tally } = await setUp()
    await cast(0, 60)
    await store.deleteRange({ partition: `tally/${topic.id}` })
    expect(await tally()).toEqual({})
    await verify(true)
    expect(await tally()).toEqual({ a: 30, b: 30 })
    await cast(60, 70)
    expect((await verify()).differences).toEqual([])
    expect(sumShards(await ledger.getShards([topic.id])).get(topic.id)).toEqual(new Map([['a', 35], ['b', 35]])) // prettier-ignore
  })

  it('is not misled by votes that arrive meanwhile, of known topics and new ones', async () => {
    const { cast, ledger, clock } = await setUp()
    await cast(0, 50)
    let next = 50
    let topics = 0
    const busy: VoteLedger = {
      ...ledger,
      async getShards(ids) {
        const shards = await ledger.getShards(ids)
        await cast(next, (next += 10))
        return shards
      },
      async scanVotes(after) {
        await cast(next, (next += 10))
        const fresh = {
          id: `x${next}`,
          topic_id: `new${topics++}`,
          choice_id: 'a',
          created: '2026-01-01T00:00:00.000000',
        }
        const shard = { topic_id: fresh.topic_id, shard: '0', fold: 1, counts: { a: 1 }, version: undefined }
        await ledger.commit({ votes: [{ ...fresh, counted: { shard: '0', fold: 1 } }], shards: [shard] })
        const page = await ledger.scanVotes(after)
        await cast(next, (next += 10))
        return page
      },
    }
    expect((await played(clock, verifyVotes({ ledger: busy, clock }))).differences).toEqual([])
  })

  it('repairs while votes arrive', async () => {
    const { cast, ledger, verify, tally } = await setUp()
    await cast(0, 20)
    const [shard] = await ledger.getShards([topic.id])
    await ledger.commit({ votes: [], shards: [{ ...shard!, fold: shard!.fold + 1, counts: { a: 1 } }] })
    let more = 0
    const busy: VoteLedger = {
      ...ledger,
      async getShard(...at) {
        const found = await ledger.getShard(...at)
        if (more === 5) return found
        const fold = found.fold + 1 // whoever read it is too late
        const vote = { topic_id: topic.id, choice_id: 'a', created: '2026-01-01T00:00:00.000000' }
        const counted = { shard: found.shard, fold }
        const counts = { ...found.counts, a: (found.counts['a'] ?? 0) + 1 }
        await ledger.commit({
          votes: [{ ...vote, id: `m${more++}`, counted }],
          shards: [{ ...found, fold, counts }],
        })
        return found
      },
    }
    await verify(true, busy)
    expect(more).toBe(5)
    expect(await tally()).toEqual({ a: 15, b: 10 })
    expect((await verify()).differences).toEqual([])
  })

  it('is not repaired twice, by two at once or by a repair that arrives late', async () => {
    const { cast, ledger, verify, tally } = await setUp()
    await cast(0, 20)
    await foreignVotes(ledger, 0, 30)
    const [shard] = await ledger.getShards([topic.id])
    await ledger.commit({ votes: [], shards: [{ ...shard!, fold: shard!.fold + 1, counts: { a: 1 } }] })
    let others = 0
    const shared: VoteLedger = {
      ...ledger,
      async getShard(...at) {
        if (others++ === 0) await verify(true)
        return ledger.getShard(...at)
      },
    }
    const repaired = (await verify(true, shared)).differences.map((each) => each.repaired)
    expect(repaired).toEqual([false, false, false])
    expect(await tally()).toEqual({ a: 40, b: 10 })
    await cast(20, 40)
    expect(await tally()).toEqual({ a: 50, b: 20 })
    expect((await verify()).differences).toEqual([])
  })

  it('does not take a commit that shows half done for a difference', async () => {
    const { cast, ledger, verify } = await setUp()
    await cast(0, 20)
    let looks = 0
    const torn: VoteLedger = {
      ...ledger,
      async scanVotes(after) {
        const page = await ledger.scanVotes(after)
        return looks++ === 0 ? { ...page, entries: page.entries.slice(1) } : page
      },
    }
    expect((await verify(false, torn)).differences).toEqual([])
    expect(looks).toBe(2)
  })
})
