import { describe, expect, it } from 'vitest'
import { memoryDatabase, memoryStore, type MemoryStore } from '../drivers/memory/index.ts'
import { SignalboxError } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import type { VoteInput } from './api.ts'
import { VoteCounter } from './counting.ts'
import { sumShards, type FoldResult, type VoteLedger } from './ledger.ts'
import { recordLedger } from './ledger/records.ts'
import { verifyVotes } from './verify.ts'

function vote(id: string, choice_id = 'a', topic_id = 't'): VoteInput {
  return { id, topic_id, choice_id }
}

function votes(from: number, to: number, topic?: (i: number) => string): VoteInput[] {
  return Array.from({ length: to - from }, (_, i) =>
    vote(`v${from + i}`, (from + i) % 3 === 0 ? 'a' : 'b', topic?.(from + i)),
  )
}

interface Process {
  readonly store: MemoryStore
  readonly counter: VoteCounter
}

function setUp(): { clock: ManualClock; ledger: VoteLedger; worker: (seed?: number) => Process } {
  const clock = new ManualClock()
  const database = memoryDatabase()
  return {
    clock,
    ledger: recordLedger(database.connect({ clock })),
    worker: (seed = 1) => {
      const random = seededRandom(seed)
      const store = database.connect({ clock, random })
      return { store, counter: new VoteCounter({ ledger: recordLedger(store), clock, random }) }
    },
  }
}

async function tally(ledger: VoteLedger, topic = 't'): Promise<Record<string, number>> {
  return Object.fromEntries(sumShards(await ledger.getShards([topic])).get(topic) ?? [])
}

/** Lets time pass until the promise is settled. */
async function played<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  const state = { settled: false }
  const done = promise.finally(() => (state.settled = true))
  done.catch(() => undefined)
  while (!state.settled) await clock.advance(100)
  return done
}

describe('counting', () => {
  it('puts each vote and adds it to its tally', async () => {
    const { ledger, worker } = setUp()
    const counted = await worker().counter.count([vote('1'), vote('2', 'b'), vote('3')])
    expect(counted.map(({ status }) => status)).toEqual(['counted', 'counted', 'counted'])
    expect(await tally(ledger)).toEqual({ a: 2, b: 1 })
    const created = counted.map(({ vote }) => vote.created)
    expect(created).toEqual([...created].sort())
    expect(new Set(created).size).toBe(3)
  })

  it('changes nothing when a vote comes again, least of all its time', async () => {
    const { clock, ledger, worker } = setUp()
    const { counter } = worker()
    const [first] = await counter.count([vote('1')])
    await clock.advance(5_000)
    const again = await counter.count([vote('2'), vote('1')])
    expect(again.map(({ status }) => status)).toEqual(['counted', 'repeated'])
    expect(again[1]?.vote).toEqual(first?.vote)
    expect((await ledger.getVotes(['1'])).get('1')).toEqual(first?.vote)
    expect(await tally(ledger)).toEqual({ a: 2 })
  })

  it('takes a vote that is there twice in a batch once', async () => {
    const { ledger, worker } = setUp()
    const counted = await worker().counter.count([vote('1'), vote('1'), vote('1', 'b'), vote('2')])
    expect(counted.map(({ status }) => status)).toEqual(['counted', 'repeated', 'conflict', 'counted'])
    expect(await tally(ledger)).toEqual({ a: 2 })
  })

  it('tells a vote whose id stands for another choice or topic, and counts the others', async () => {
    const { ledger, worker } = setUp()
    const { counter } = worker()
    await counter.count([vote('1')])
    const counted = await counter.count([vote('2'), vote('1', 'b'), vote('1', 'a', 'u'), vote('3', 'b')])
    expect(counted.map(({ status }) => status)).toEqual(['counted', 'conflict', 'conflict', 'counted'])
    expect([await tally(ledger), await tally(ledger, 'u')]).toEqual([{ a: 2, b: 1 }, {}])
  })

  it('splits what one commit does not take, however many topics there are', async () => {
    const { ledger, worker } = setUp()
    await worker().counter.count(votes(0, 500, (i) => (i < 250 ? `t${i}` : 't')))
    expect(await tally(ledger)).toEqual({ a: 83, b: 167 })
    expect(await tally(ledger, 't3')).toEqual({ a: 1 })
  })

  it('finds out what became of a commit whose answer was lost', async () => {
    const { clock, ledger, worker } = setUp()
    const { store, counter } = worker()
    store.faults.next('commit', 'lostAfter', 'lostBefore', 'lostAfter')
    const first = await played(clock, counter.count([vote('1')]))
    const second = await played(clock, counter.count([vote('1', 'a'), vote('2')]))
    expect([...first, ...second].map(({ status }) => status)).toEqual(['counted', 'repeated', 'counted'])
    expect(store.faults.injected).toMatchObject({ lostAfter: 2, lostBefore: 1 })
    expect(await tally(ledger)).toEqual({ a: 2 })
  })

  it('throws what was not applied, and counts it when it comes again', async () => {
    const { ledger, worker } = setUp()
    const { store, counter } = worker()
    store.faults.next('commit', 'throttled')
    await expect(counter.count([vote('1')])).rejects.toMatchObject({ code: 'throttled' })
    await counter.count([vote('1')])
    expect(await tally(ledger)).toEqual({ a: 1 })
  })

  it('does not count twice what a commit applies that was thought to be lost', async () => {
    const { clock, ledger, worker } = setUp()
    const { store, counter } = worker()
    let late: Promise<FoldResult> | undefined
    const own = recordLedger(store)
    const lagging: VoteLedger = {
      ...own,
      async commit(fold) {
        if (late !== undefined) return own.commit(fold)
        // It reaches the engine only after the votes were looked for.
        late = clock.advance(0).then(() => own.commit(fold))
        throw new SignalboxError('outcome_unknown', 'no answer')
      },
    }
    const delayed = new VoteCounter({ ledger: lagging, clock, random: seededRandom(3) })
    await played(clock, delayed.count([vote('1'), vote('2', 'b')]))
    await late
    await counter.count([vote('1'), vote('2', 'b')])
    expect(await tally(ledger)).toEqual({ a: 1, b: 1 })
  })

  it('is right with several processes, conflicts and lost answers, each vote delivered three times', async () => {
    for (let seed = 1; seed <= 5; seed++) {
      const { clock, ledger, worker } = setUp()
      const random = seededRandom(seed)
      const processes = [worker(seed), worker(seed + 100), worker(seed + 200)]
      for (const { store } of processes) {
        store.faults.plan = {
          lostAfter: 0.1,
          lostBefore: 0.05,
          conflict: 0.1,
          delayBeforeMs: [0, 20],
          delayAfterMs: [0, 20],
        }
      }
      const all = [0, 1, 2].flatMap(() => votes(0, 120, (i) => `t${i % 4}`))
      const shuffled = all.map((each) => ({ each, at: random.next() })).sort((a, b) => a.at - b.at)
      const batches = Array.from({ length: 24 }, (_, i) =>
        shuffled.slice(i * 15, i * 15 + 15).map(({ each }) => each),
      )
      let open = batches
      const times = new Map<string, string>()
      while (open.length > 0) {
        const outcomes = open.map(async (batch, i) => {
          try {
            const counted = await processes[i % 3]!.counter.count(batch)
            for (const { vote } of counted) {
              expect(times.get(vote.id) ?? vote.created).toBe(vote.created)
              times.set(vote.id, vote.created)
            }
            return []
          } catch {
            return [batch] // comes again
          }
        })
        open = (await played(clock, Promise.all(outcomes))).flat()
      }
      const tallies = await Promise.all([0, 1, 2, 3].map((i) => tally(ledger, `t${i}`)))
      const sum = tallies.flatMap((each) => Object.values(each)).reduce((a, b) => a + b, 0)
      expect({ seed, sum }).toEqual({ seed, sum: 120 })
      expect(await played(clock, verifyVotes({ ledger, clock }))).toEqual({
        topics: 4,
        votes: 120,
        differences: [],
      })
    }
  })

  it('gives up on a tally that never stands still, and leaves nothing half done', async () => {
    const { clock, ledger, worker } = setUp()
    const { store, counter } = worker()
    store.faults.plan = { conflict: 1 }
    await expect(played(clock, counter.count([vote('1')]))).rejects.toMatchObject({ code: 'unavailable' })
    expect(await tally(ledger)).toEqual({})
  })

  it('needs no read to count, once it knows its tally', async () => {
    const { worker } = setUp()
    const { store, counter } = worker()
    await counter.count([vote('1')])
    const before = store.operations.get
    for (let i = 2; i < 10; i++) await counter.count([vote(String(i))])
    expect(store.operations.get).toBe(before)
  })

  it('uses several shards for what is counted at the same time', async () => {
    const { clock, ledger, worker } = setUp()
    const { store, counter } = worker()
    store.faults.plan = { delayBeforeMs: [5, 5] }
    await played(clock, Promise.all(votes(0, 40).map((each) => counter.count([each]))))
    expect((await ledger.getShards(['t'])).length).toBe(8)
    expect(await tally(ledger)).toEqual({ a: 14, b: 26 })
  })

  it('bears choices with the names of what every object has', async () => {
    const { ledger, worker } = setUp()
    const { counter } = worker()
    await counter.count([vote('1', '__proto__'), vote('2', 'constructor'), vote('3', '__proto__')])
    const sums = sumShards(await ledger.getShards(['t'])).get('t')
    expect([sums?.get('__proto__'), sums?.get('constructor')]).toEqual([2, 1])
  })

  it('works on a store that is closed under it by throwing', async () => {
    const store = memoryStore({ clock: new ManualClock() })
    const counter = new VoteCounter({
      ledger: recordLedger(store),
      clock: new ManualClock(),
      random: seededRandom(1),
    })
    await store.close()
    await expect(counter.count([vote('1')])).rejects.toMatchObject({ code: 'unavailable' })
  })
})
