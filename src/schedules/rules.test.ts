import { describe, expect, it } from 'vitest'
import { seededRandom } from '../kernel/id.ts'
import type { LiveRun } from './contract.ts'
import { decide, idOf, type Facts, type Item } from './rules.ts'
import { timeAfter, timeText, timingOf } from './timing.ts'
import { missedPolicies, overlapPolicies, scheduleDefinition, type ScheduleInput } from './vocabulary.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const noon = Date.parse('2026-03-01T12:00:00Z')

function facts(more: Partial<ScheduleInput>, known: Partial<Facts> & { next: number; now: number }): Facts {
  const definition = scheduleDefinition.parse({
    name: 's',
    job: 'j',
    expression: 'cron(0/5 * * * ? *)',
    ...more,
  })
  return { definition, timing: timingOf(definition, 0), to: known.now, live: [], ...known }
}

const live = (id: string, held = false, scheduledAt?: number): LiveRun => ({
  id,
  state: held ? 'queued' : 'running',
  held,
  source: 'schedule',
  ...(scheduledAt === undefined ? {} : { scheduledAt }),
})

/** `run 12:00`, `run 12:00 held`, `skip 12:00 ×3 missed` */
function told(items: readonly Item[]): string[] {
  return items.map((item) => {
    const at = timeText(item.at).slice(11, 16)
    if (item.kind === 'run') return `run ${at}${item.hold === undefined ? '' : ' held'}`
    return `skip ${at} ×${item.count} ${item.why}`
  })
}

describe('a time that is due', () => {
  it('fires at its own time when it is late by less than a minute', () => {
    const { items } = decide(facts({ missed: 'skip' }, { next: noon, now: noon + MINUTE - 1 }))
    expect(items).toEqual([{ kind: 'run', at: noon, missed: false }])
  })

  it('was missed when it is later', () => {
    const { items } = decide(facts({ missed: 'skip' }, { next: noon, now: noon + MINUTE }))
    expect(told(items)).toEqual(['skip 12:00 ×1 missed'])
  })

  it('is left alone before it comes', () => {
    expect(decide(facts({}, { next: noon, now: noon - 1 })).items).toEqual([])
  })

  it('is recorded as skipped when its run could not start', () => {
    const { items } = decide(facts({}, { next: noon, now: noon, problem: 'no such job' }))
    expect(items).toMatchObject([{ kind: 'skip', at: noon, why: 'problem', reason: 'no such job' }])
  })
})

describe('times that were missed', () => {
  const threeHours = { next: noon + 5 * MINUTE, now: noon + 3 * HOUR + 2 * MINUTE }

  it.each([
    [{ missed: 'skip' }, ['skip 15:00 ×36 missed']],
    [{ missed: 'once' }, ['skip 14:55 ×35 missed', 'run 15:00']],
    [{ missed: 'once', missedWindowMs: MINUTE }, ['skip 15:00 ×36 missed']],
    [{ missed: 'all', missedLimit: 2 }, ['skip 14:50 ×34 missed', 'run 14:55', 'run 15:00 held']],
    [
      { missed: 'all', missedWindowMs: 10 * MINUTE },
      ['skip 14:50 ×34 missed', 'run 14:55', 'run 15:00 held'],
    ],
    [
      { missed: 'all', missedLimit: 2, overlap: 'allow' },
      ['skip 14:50 ×34 missed', 'run 14:55', 'run 15:00'],
    ],
  ] as const)('%j', (policy, expected) => {
    const { items } = decide(facts(policy, threeHours))
    expect(told(items)).toEqual(expected)
  })

  it('are all made up for with `all`', () => {
    expect(
      decide(facts({ missed: 'all' }, threeHours)).items.filter(({ kind }) => kind === 'run'),
    ).toHaveLength(36)
  })

  it('have a reason that says how many, from when to when', () => {
    const [item] = decide(facts({ missed: 'skip' }, threeHours)).items
    expect(item).toMatchObject({ from: noon + 5 * MINUTE, count: 36 })
    expect(item?.kind === 'skip' && item.reason).toMatch(
      /36 times from 2026-03-01T12:05:00Z to 2026-03-01T15:00:00Z/,
    )
  })

  it('have one that is on time stand for them with `once`', () => {
    const { items } = decide(facts({ missed: 'once' }, { next: noon, now: noon + 10 * MINUTE }))
    expect(told(items)).toEqual(['skip 12:05 ×2 missed', 'run 12:10'])
  })

  it('stand in line with one that is on time with `all`', () => {
    const { items, makingUpTo } = decide(facts({ missed: 'all' }, { next: noon, now: noon + 10 * MINUTE }))
    expect(told(items)).toEqual(['run 12:00', 'run 12:05 held', 'run 12:10 held'])
    expect(makingUpTo).toBe(noon + 10 * MINUTE)
  })

  it('are counted up to a bound, and the record has the latest time', () => {
    const now = noon + 365 * 24 * HOUR + 90_000
    const { items } = decide(facts({ expression: 'cron(* * * * ? *)', missed: 'skip' }, { next: noon, now }))
    expect(items).toMatchObject([
      { kind: 'skip', count: 1_001, at: now - 90_000 },
      { kind: 'run', at: now - 30_000 },
    ])
    expect(items[0]?.kind === 'skip' && items[0].reason).toMatch(/more than/)
  })

  it('are not made up for when the runs could not start', () => {
    const { items } = decide(facts({ missed: 'all' }, { ...threeHours, problem: 'no such job' }))
    expect(told(items)).toEqual(['skip 15:00 ×36 missed'])
    expect(items[0]?.kind === 'skip' && items[0].reason).toMatch(/no such job/)
  })

  it('leave out what others have seen to', () => {
    const done = (at: number): boolean => at !== noon + 10 * MINUTE
    const { items } = decide(facts({ missed: 'all' }, { ...threeHours, done }))
    expect(told(items)).toEqual(['run 12:10'])
  })
})

describe('a run in the way', () => {
  const due = { next: noon, now: noon }

  it.each([
    ['skip', ['skip 12:00 ×1 overlap'], /run j:1 has not ended/],
    ['queue', ['run 12:00 held'], /waits for run j:1/],
    ['allow', ['run 12:00'], undefined],
    ['cancel-previous', ['run 12:00 held'], /j:1, which is cancelled/],
  ] as const)('%s', (overlap, expected, reason) => {
    const { items } = decide(facts({ overlap }, { ...due, live: [live('j:1')] }))
    expect(told(items)).toEqual(expected)
    const [item] = items
    const text = item?.kind === 'skip' ? item.reason : item?.hold
    if (reason === undefined) expect(text).toBeUndefined()
    else expect(text).toMatch(reason)
  })

  it('is one that is held too', () => {
    const { items } = decide(facts({ overlap: 'queue' }, { ...due, live: [live('j:1', true)] }))
    expect(told(items)).toEqual(['run 12:00 held'])
  })

  it('has so many waiting behind it that no more may wait', () => {
    const waiting = Array.from({ length: 1_000 }, (_, n) => live(`j:${n}`, true))
    const { items } = decide(facts({ overlap: 'queue' }, { ...due, live: waiting }))
    expect(told(items)).toEqual(['skip 12:00 ×1 overlap'])
    // Of one at work and a thousand that wait behind it, a thousand are read.
    const some = [live('j:0'), ...waiting.slice(1)]
    for (const overlap of ['queue', 'cancel-previous'] as const)
      expect(told(decide(facts({ overlap }, { ...due, live: some })).items)).toEqual([
        'skip 12:00 ×1 overlap',
      ])
  })
})

describe('whatever happens', () => {
  it('each time is decided about once, in order, and one after the other comes out as all at once', () => {
    const random = seededRandom(7)
    const pick = <T>(list: readonly T[]): T => list[Math.floor(random.next() * list.length)] as T
    for (let n = 0; n < 300; n++) {
      const known = facts(
        {
          missed: pick(missedPolicies),
          overlap: pick(overlapPolicies),
          missedLimit: pick([1, 3, 100]),
          missedWindowMs: pick([0, 20 * MINUTE, 24 * HOUR]),
        },
        {
          next: noon,
          now: noon + Math.floor(random.next() * 2 * HOUR),
          live: random.next() < 0.5 ? [] : [live('j:1')],
        },
      )
      const whole = decide(known).items
      let at = noon
      for (const item of whole) {
        if (item.kind === 'skip') expect(item.from).toBe(at)
        else expect(item.at).toBe(at)
        at = timeAfter(known.timing, item.at) ?? Infinity
      }
      expect(at).toBeGreaterThan(known.now)
      expect(told(oneByOne(known))).toEqual(told(whole))
    }
  })
})

/** Decides anew after each item, as after a commit that took only one. */
function oneByOne(known: Facts): Item[] {
  const items: Item[] = []
  let { next, makingUpTo, live: runs } = known
  while (next <= known.now) {
    const decision = decide({ ...known, next, makingUpTo, live: runs })
    const [item] = decision.items
    if (item === undefined) return items
    items.push(item)
    ;({ makingUpTo } = decision)
    next = timeAfter(known.timing, item.at) ?? Infinity
    if (item.kind === 'run') {
      runs = [...runs, live(idOf(known.definition, item.at), item.hold !== undefined, item.at)]
    }
  }
  return items
}
