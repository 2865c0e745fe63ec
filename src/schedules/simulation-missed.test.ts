/** What becomes of times that nobody could fire: the server was down, or its clock was set. */
import { afterEach, describe, expect, it } from 'vitest'
import { iso, scheduleWorld, type SeenRun, type World } from './testing/world.ts'
import type { ScheduleInput } from './api.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const QUICK = { pollMs: 5_000 }

let world: World
afterEach(() => world.close())

/** A 5-minute schedule; the server goes at 12:02 and comes back at 15:02, or a while later. */
async function threeHoursDown(schedule: Partial<ScheduleInput>, laterMs = 0): Promise<readonly SeenRun[]> {
  world = scheduleWorld('2026-03-10T12:00:30Z')
  const server = await world.start(QUICK)
  await world.put({ name: 's', expression: 'cron(0/5 * * * ? *)', overlap: 'allow', ...schedule })
  await world.clock.advance(90_000)
  await world.kill(server)
  await world.clock.advance(3 * HOUR_MS + laterMs - (world.clock.now() - Date.parse('2026-03-10T12:02:00Z')))
  await world.start(QUICK)
  await world.clock.advance(30_000)
  return world.runsOf('s')
}

const made = (runs: readonly SeenRun[]): string[] =>
  runs.filter(({ state }) => state !== 'skipped').map(({ at }) => at.slice(11, 16))
const skipped = (runs: readonly SeenRun[]): SeenRun[] => runs.filter(({ state }) => state === 'skipped')

const everyFiveMinutes = (from: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) =>
    iso(Date.parse(`2026-03-10T${from}:00Z`) + n * 5 * MINUTE_MS).slice(11, 16),
  )

describe('three hours down, a 5-minute schedule', () => {
  it('skip: no run, and one record that says what was missed', async () => {
    const runs = await threeHoursDown({ missed: 'skip' })
    expect(made(runs)).toEqual([])
    expect(skipped(runs)).toHaveLength(1)
    expect(skipped(runs)[0]).toMatchObject({
      at: '2026-03-10T15:00:00Z',
      reason: expect.stringMatching(/36/) as string,
    })
  })

  it('once: the latest one', async () => {
    const runs = await threeHoursDown({ missed: 'once' })
    expect(made(runs)).toEqual(['15:00'])
    expect(skipped(runs)).toHaveLength(1)
    expect(skipped(runs)[0]?.reason).toMatch(/35/)
  })

  it('all: 36', async () => {
    const runs = await threeHoursDown({ missed: 'all' })
    expect(made(runs)).toEqual(everyFiveMinutes('12:05', 36))
    expect(skipped(runs)).toEqual([])
  })

  it('all, at most ten: the newest ten', async () => {
    const runs = await threeHoursDown({ missed: 'all', missedLimit: 10 })
    expect(made(runs)).toEqual(everyFiveMinutes('14:15', 10))
    expect(skipped(runs)).toHaveLength(1)
    expect(skipped(runs)[0]?.reason).toMatch(/26/)
  })

  it('all, within an hour: those of that hour', async () => {
    const runs = await threeHoursDown({ missed: 'all', missedWindowMs: HOUR_MS })
    expect(made(runs)).toEqual(everyFiveMinutes('14:05', 12))
    expect(skipped(runs)).toHaveLength(1)
  })

  it('once, within a minute: none', async () => {
    const runs = await threeHoursDown({ missed: 'once', missedWindowMs: MINUTE_MS })
    expect(made(runs)).toEqual([])
    expect(skipped(runs)).toHaveLength(1)
  })

  it.each([
    ['skip', ['15:00'], 1],
    ['once', ['15:00'], 1],
    ['all', everyFiveMinutes('12:05', 36), 0],
  ] as const)('%s, and back 20 s after a time: that one is on time', async (missed, times, others) => {
    const runs = await threeHoursDown({ missed }, -100_000)
    expect(made(runs)).toEqual(times)
    expect(skipped(runs)).toHaveLength(others)
  })

  it('afterwards it fires as ever', async () => {
    await threeHoursDown({ missed: 'skip' })
    await world.clock.advance(10 * MINUTE_MS)
    expect(made(await world.runsOf('s'))).toEqual(['15:05', '15:10'])
  })

  it('one at a time, in order, when runs may not overlap', async () => {
    const runs = await threeHoursDown({ missed: 'all', missedLimit: 5, overlap: 'skip' })
    expect(made(runs)).toEqual(everyFiveMinutes('14:40', 5))
    const [server] = world.replicas
    const began: string[] = []
    for (let n = 0; n < 5; n++) {
      const [id, ...more] = world.queue.splice(0)
      expect(more).toEqual([])
      if (id === undefined) break
      began.push(id.slice(-9, -4))
      const claim = await server?.runs.claim(id, { worker: 'w', leaseMs: 60_000 })
      if (claim?.claimed !== true) throw new Error(`${id} was not claimed`)
      await server?.runs.finish(id, claim.epoch, { kind: 'succeeded' })
      await world.clock.advance(6_000)
    }
    expect(began).toEqual(everyFiveMinutes('14:40', 5))
  })
})

describe('a clock that is set', () => {
  const begin = async (): Promise<void> => {
    world = scheduleWorld('2026-03-10T12:00:30Z')
    await world.start({ pollMs: 1_000 })
    await world.put({ name: 's', overlap: 'allow', missed: 'all' })
    await world.clock.advance(3 * MINUTE_MS)
    expect(made(await world.runsOf('s'))).toEqual(['12:01', '12:02', '12:03'])
  }

  it('forward: what lies between was missed', async () => {
    await begin()
    world.clock.jump(10 * MINUTE_MS)
    await world.clock.advance(10_000)
    expect(made(await world.runsOf('s'))).toEqual(
      Array.from({ length: 13 }, (_, n) => `12:${String(n + 1).padStart(2, '0')}`),
    )
  })

  it('back: no time fires again', async () => {
    await begin()
    world.clock.jump(-10 * MINUTE_MS)
    await world.clock.advance(9 * MINUTE_MS)
    expect(made(await world.runsOf('s'))).toEqual(['12:01', '12:02', '12:03'])
    await world.clock.advance(3 * MINUTE_MS)
    expect(made(await world.runsOf('s'))).toEqual(['12:01', '12:02', '12:03', '12:04', '12:05'])
  })

  it('back and forth, again and again: every time once', async () => {
    await begin()
    for (let n = 0; n < 6; n++) {
      world.clock.jump((n % 2 === 0 ? -1 : 1) * (n + 1) * MINUTE_MS)
      await world.clock.advance(90_000)
    }
    world.clock.jump(HOUR_MS)
    await world.clock.advance(30_000)
    const times = made(await world.runsOf('s'))
    const first = Date.parse('2026-03-10T12:01:00Z')
    const expected = Math.floor((world.clock.now() - first) / MINUTE_MS) + 1
    expect(times).toEqual(
      Array.from({ length: expected }, (_, n) => iso(first + n * MINUTE_MS).slice(11, 16)),
    )
  })

  it('by a year, forward: it fires on, and does not make up for more than it may', async () => {
    await begin()
    world.clock.jump(365 * 24 * HOUR_MS)
    await world.clock.advance(2 * MINUTE_MS)
    const runs = await world.runsOf('s')
    const late = runs.filter(({ at }) => at > '2027')
    expect(made(late).length).toBeGreaterThanOrEqual(100)
    expect(made(late).length).toBeLessThanOrEqual(103)
    expect(skipped(runs)).toHaveLength(1)
  })
})
