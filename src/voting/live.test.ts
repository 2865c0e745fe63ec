import { describe, expect, it } from 'vitest'
import { memoryDatabase } from '../drivers/memory/index.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { VoteCounter } from './counting.ts'
import { recordLedger } from './ledger/records.ts'
import { LiveResults } from './live.ts'
import { VotingService } from './service.ts'

async function setUp(hints: boolean) {
  const clock = new ManualClock()
  const database = memoryDatabase()
  const store = database.connect({ clock })
  const ledger = recordLedger(store)
  const voting = new VotingService({ ledger, clock, send: async () => {} })
  let reads = 0
  const live = new LiveResults({
    clock,
    ledger: hints ? ledger : {},
    read: (id) => {
      reads++
      return voting.getTopic(id, true)
    },
  })
  const topic = await voting.createTopic({ title: 'T', is_active: true, choices: [{ description: 'a' }] })
  // Another process counts.
  const counter = new VoteCounter({
    ledger: recordLedger(database.connect({ clock })),
    clock,
    random: seededRandom(1),
  })
  let n = 0
  const cast = () =>
    counter.count([{ id: `v${n++}`, topic_id: topic.id, choice_id: topic.choices[0]?.id ?? '' }])
  return { clock, voting, live, topic, cast, reads: () => reads }
}

describe('live results', () => {
  it('tell of votes that another process counted, within a second', async () => {
    const { clock, live, topic, cast } = await setUp(false)
    let told = 0
    const stop = live.onChange(topic.id, () => told++)
    await clock.advance(0)
    expect(told).toBe(1)
    await cast()
    await clock.advance(1_000)
    expect(told).toBe(2)
    expect((await live.latest(topic.id)).choices[0]?.votes).toBe(1)
    await clock.advance(10_000)
    expect(told).toBe(2)
    stop()
  })

  it('tell sooner where the ledger gives hints', async () => {
    const { clock, live, topic, cast } = await setUp(true)
    let told = 0
    const stop = live.onChange(topic.id, () => told++)
    await clock.advance(400)
    const before = told
    await cast()
    await clock.advance(250)
    expect(told).toBe(before + 1)
    stop()
  })

  it('tell of what is changed in the topic itself', async () => {
    const { clock, voting, live, topic } = await setUp(false)
    let told = 0
    live.onChange(topic.id, () => told++)
    await clock.advance(100)
    await voting.replaceTopic(topic.id, { title: 'U', is_active: true, choices: [] })
    await clock.advance(1_000)
    expect([told, (await live.latest(topic.id)).title]).toEqual([2, 'U'])
  })

  it('read a topic once a second however many watch, and not at all when nobody does', async () => {
    const { clock, live, topic, reads } = await setUp(false)
    const stops = Array.from({ length: 50 }, () => live.onChange(topic.id, () => undefined))
    await clock.advance(10_000)
    expect(reads()).toBeLessThanOrEqual(11)
    for (const stop of stops) stop()
    const before = reads()
    await clock.advance(10_000)
    expect([reads(), live.size, clock.pendingTimers]).toEqual([before, 0, 0])
  })
})
