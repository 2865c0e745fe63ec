/**
 * Notifications under weather: three servers on one store that loses answers, refuses and delays; servers die and come back;
 * receivers fail for minutes. Afterwards the sums must be right: each occurrence was told singly, or counted in one summary.
 */
import { describe, expect, it } from 'vitest'
import type { FaultPlan } from '../drivers/memory/faults.ts'
import { seededRandom } from '../kernel/id.ts'
import type { Event } from './event.ts'
import { isBad, subjectOf, type Notice, type NoticeKind } from './notice.ts'
import { STREAKS } from './records.ts'
import { notice, world, type World } from './testing/world.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const CHANNELS = ['a', 'b']
const KINDS: readonly NoticeKind[] = [
  'failed',
  'failed',
  'lost',
  'timed_out',
  'cancelled',
  'succeeded',
  'succeeded',
]
const WEATHER: FaultPlan = {
  conflict: 0.05,
  lostAfter: 0.05,
  lostBefore: 0.03,
  throttled: 0.03,
  unavailable: 0.02,
  delayBeforeMs: [0, 40],
  delayAfterMs: [0, 40],
}

interface Played {
  readonly told: readonly Notice[]
  readonly world: World
  readonly streakEnds: number
  readonly deaths: number
  readonly faults: number
}

async function play(seed: number, spoil: (made: World) => void = () => undefined): Promise<Played> {
  const made = world({ channels: CHANNELS, foldForMs: 10 * MINUTE, scheduleNotify: async () => undefined })
  spoil(made)
  const { clock, service, refusing, tell, store } = made
  const random = seededRandom(seed)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random.next() * list.length)] as T
  let born = seed * 1_000
  let faults = 0
  const server = () => {
    const one = service({ seed: ++born, faults: WEATHER })
    void one.notes.start()
    return one
  }
  const servers = [server(), server(), server()]
  const told: Notice[] = []
  let deaths = 0
  for (let step = 0; step < 120; step++) {
    for (let burst = Math.ceil(random.next() * 4); burst > 0; burst--) {
      const one = notice({
        kind: pick(KINDS),
        schedule: pick(['s1', 's2', 's3']),
        run: `r:${seed}-${told.length}`,
        at: clock.now(),
      })
      told.push(one)
      await tell(one, pick(servers).notes)
      if (random.next() < 0.5) await clock.advance(random.next() * 60)
    }
    if (random.next() < 0.08)
      refusing.set(pick(CHANNELS), pick(['silent', { error: 'answered 500' }] as const))
    if (random.next() < 0.15) refusing.delete(pick(CHANNELS))
    if (random.next() < 0.1) {
      const index = Math.floor(random.next() * servers.length)
      servers[index]?.store.faults.cut() // what it is doing never ends, as with kill -9
      faults += total(servers[index]?.store.faults.injected)
      servers[index] = server()
      deaths += 1
    }
    await clock.advance(random.next() * 30 * SECOND)
  }
  refusing.clear()
  for (const { store: handle } of servers) {
    faults += total(handle.faults.injected)
    handle.faults.plan = {}
  }
  await clock.advance(2 * HOUR)
  const streaks = await store.list({ partition: STREAKS }, { limit: 100 })
  const streakEnds = streaks.records.reduce((sum, { value }) => sum + (value as { ends: number }).ends, 0)
  return { told, world: made, streakEnds, deaths, faults }
}

const total = (counts: Readonly<Record<string, number>> = {}): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0)

/** What does not add up. */
function judge({ told, world: { taken, events }, streakEnds }: Played): string[] {
  const problems: string[] = []
  const bad = told.filter(({ kind }) => kind !== 'succeeded')
  for (const channel of CHANNELS) {
    const unique = new Map((taken[channel] ?? []).map((event) => [event.id, event]))
    const events = [...unique.values()]
    const singly = new Set(
      events.filter(({ kind }) => kind !== 'repeated' && kind !== 'recovered').map(({ id }) => id),
    )
    const counted = events.reduce(
      (sum, { repeats }) => sum + total(repeats as Record<string, number> | undefined),
      0,
    )
    if (singly.size + counted !== bad.length)
      problems.push(`${channel}: ${singly.size} told singly and ${counted} counted, of ${bad.length}`)
    const strangers = [...singly].filter((id) => !bad.some((one) => one.id === id))
    if (strangers.length > 0) problems.push(`${channel}: ${strangers.length} that never happened`)
    const recovered = events.filter(({ kind }) => kind === 'recovered')
    const ends = recovered.reduce((sum, { count = 0 }) => sum + count, 0) + streakEnds
    const wanted = bad.filter(({ kind }) => isBad(kind)).length
    if (ends !== wanted) problems.push(`${channel}: recoveries from ${ends} ends, of ${wanted}`)
    problems.push(...recovered.filter((one) => !told.some(({ run }) => run === one.run)).map(subjectOf))
  }
  const done = new Set<string>()
  for (const event of events) {
    if (event.kind === 'given_up') problems.push(`${event.message.id} was given up`)
    if (event.kind !== 'sent') continue
    const { id, behind } = event.message
    if (behind !== undefined && !done.has(behind)) problems.push(`${id} was sent before ${behind}`)
    done.add(id)
  }
  return problems
}

/** A second each, where nothing else runs. */
const LONG = { timeout: 120_000 }

describe('notifications under weather', () => {
  it.each([1, 2, 3, 4, 5, 6])('seed %i', LONG, async (seed) => {
    const played = await play(seed)
    expect(judge(played)).toEqual([])
    expect(played.deaths).toBeGreaterThan(3)
    expect(played.faults).toBeGreaterThan(50)
    const kinds = new Set(
      Object.values(played.world.taken).flatMap((all: Event[]) => all.map(({ kind }) => kind)),
    )
    expect([...kinds].sort()).toEqual(['cancelled', 'failed', 'lost', 'recovered', 'repeated', 'timed_out'])
  })
})

describe('the judge', () => {
  it('sees what was never told', LONG, async () => {
    const played = await play(2, ({ taken }) => {
      let dropped = false
      const kept: Event[] = []
      kept.push = (event) => {
        const drop = !dropped && event.kind === 'failed'
        dropped ||= drop
        return drop ? 0 : Array.prototype.push.call(kept, event)
      }
      taken['a'] = kept
    })
    expect(judge(played).join('\n')).toMatch(/^a: \d+ told singly/)
  })
})
