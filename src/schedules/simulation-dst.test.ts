/**
 * Days on which clocks are changed, lived through: what fired is what `preview` promised, and what a slow matcher that knows
 * local time from wall clocks alone says.
 */
import { describe, expect, it } from 'vitest'
import { matches, minutesOf } from './testing/oracle.ts'
import { iso, scheduleWorld, type World } from './testing/world.ts'

const HOUR_MS = 3_600_000
const HOURS = 49

const schedules = {
  hourly: 'cron(0 * * * ? *)',
  'half-hourly': 'cron(0,30 * * * ? *)',
  'at-quarter-past-two': 'cron(15 2 * * ? *)',
  'at-quarter-to-two': 'cron(45 1 * * ? *)',
  'at-midnight': 'cron(0 0 * * ? *)',
  'last-sunday': 'cron(30 1 ? * 1L *)',
} as const

/** All begin at an hour of UTC before the local midnight that begins the day. */
const days = [
  { zone: 'America/New_York', day: 'spring', from: '2026-03-08T04:00:00Z', hourly: 23, quarterPastTwo: 0 },
  { zone: 'America/New_York', day: 'autumn', from: '2026-11-01T03:00:00Z', hourly: 24, quarterPastTwo: 1 },
  { zone: 'Europe/Berlin', day: 'spring', from: '2026-03-28T22:00:00Z', hourly: 23, quarterPastTwo: 0 },
  { zone: 'Europe/Berlin', day: 'autumn', from: '2026-10-24T21:00:00Z', hourly: 24, quarterPastTwo: 1 },
  // Half an hour: 02:00 becomes 02:30, or 01:30 once more.
  { zone: 'Australia/Lord_Howe', day: 'spring', from: '2026-10-03T12:30:00Z', hourly: 23, quarterPastTwo: 0 },
  { zone: 'Australia/Lord_Howe', day: 'autumn', from: '2026-04-04T12:00:00Z', hourly: 24, quarterPastTwo: 1 },
] as const

async function livedThrough(from: string, put: (world: World) => Promise<void>): Promise<World> {
  const world = scheduleWorld(from)
  await world.start({ pollMs: HOUR_MS, sweepMs: HOUR_MS })
  await put(world)
  await world.clock.advance(HOURS * HOUR_MS)
  return world
}

describe.each(days)('$zone in $day', ({ zone, from, hourly, quarterPastTwo }) => {
  it('fires what was promised, when it was promised', async () => {
    const promised = new Map<string, readonly string[]>()
    const until = iso(Date.parse(from) + HOURS * HOUR_MS)
    const world = await livedThrough(from, async ({ put, replicas }) => {
      for (const [name, expression] of Object.entries(schedules)) {
        await put({ name, expression, timeZone: zone, overlap: 'allow' })
        const preview = await replicas[0]?.schedules.preview({ expression, timeZone: zone, count: 100 })
        promised.set(name, preview?.next.map((at) => iso(Date.parse(at))).filter((at) => at <= until) ?? [])
      }
    })
    const minutes = minutesOf(zone, from, iso(Date.parse(until) + 60_000)).slice(1)
    for (const [name, expression] of Object.entries(schedules)) {
      const fired = await world.runsOf(name)
      const expected = minutes.filter(({ wall, repeated }) => !repeated && matches(expression, wall))
      expect(
        fired.map(({ at }) => at),
        name,
      ).toEqual(expected.map(({ instant }) => iso(instant)))
      expect(
        fired.map(({ at }) => at),
        name,
      ).toEqual(promised.get(name))
      for (const { at, state, createdAt } of fired) {
        expect(state).toBe('queued')
        expect(createdAt - Date.parse(at)).toBeLessThan(1_000)
      }
    }
    await world.close()
  })

  it(`has ${hourly} hours that fire, and a quarter past two ${quarterPastTwo} times`, async () => {
    const local = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short' })
    const day = local.format(Date.parse(from) + 12 * HOUR_MS)
    const world = await livedThrough(from, async ({ put }) => {
      for (const name of ['hourly', 'at-quarter-past-two'] as const) {
        await put({ name, expression: schedules[name], timeZone: zone, overlap: 'allow' })
      }
    })
    const onThatDay = async (name: string): Promise<number> =>
      (await world.runsOf(name)).filter(({ at }) => local.format(Date.parse(at)) === day).length
    expect(await onThatDay('hourly')).toBe(hourly)
    expect(await onThatDay('at-quarter-past-two')).toBe(quarterPastTwo)
    await world.close()
  })

  it('does not matter to a rate', async () => {
    const world = await livedThrough(from, ({ put }) =>
      put({ name: 'rate', expression: 'rate(30 minutes)', timeZone: zone, overlap: 'allow' }),
    )
    const times = (await world.runsOf('rate')).map(({ at }) => Date.parse(at))
    expect(times.length).toBeGreaterThanOrEqual(2 * HOURS - 1)
    for (const [n, time] of times.entries()) expect(time - (times[0] ?? 0)).toBe((n * HOUR_MS) / 2)
    await world.close()
  })
})

describe('a single time', () => {
  const at = async (zone: string, from: string, local: string): Promise<readonly string[]> => {
    const world = await livedThrough(from, ({ put }) =>
      put({ name: 'once', expression: `at(${local})`, timeZone: zone }),
    )
    const runs = await world.runsOf('once')
    await world.close()
    return runs.map((run) => run.at)
  }

  it.each([
    ['America/New_York', '2026-11-01T03:00:00Z', '2026-11-01T01:30:20', '2026-11-01T05:30:20Z'],
    ['Europe/Berlin', '2026-10-24T21:00:00Z', '2026-10-25T02:30:00', '2026-10-25T00:30:00Z'],
    ['Australia/Lord_Howe', '2026-04-04T12:00:00Z', '2026-04-05T01:45:00', '2026-04-04T14:45:00Z'],
    ['Australia/Lord_Howe', '2026-10-03T12:30:00Z', '2026-10-04T02:30:00', '2026-10-03T15:30:00Z'],
  ])('in %s fires at the first pass', async (zone, from, local, instant) => {
    expect(await at(zone, from, local)).toEqual([instant])
  })

  it.each([
    ['America/New_York', '2026-03-08T04:00:00Z', '2026-03-08T02:30:00'],
    ['Europe/Berlin', '2026-03-28T22:00:00Z', '2026-03-29T02:00:00'],
    ['Australia/Lord_Howe', '2026-10-03T12:30:00Z', '2026-10-04T02:15:00'],
  ])('in %s that no clock shows is refused', async (zone, from, local) => {
    await expect(at(zone, from, local)).rejects.toMatchObject({ code: 'invalid_argument' })
  })
})
