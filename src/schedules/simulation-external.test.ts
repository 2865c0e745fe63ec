/** Fired from elsewhere: events that come late, many times or never. */
import { afterEach, describe, expect, it } from 'vitest'
import { simulate } from './testing/simulation.ts'
import { scheduleWorld, type Replica, type World } from './testing/world.ts'

const LONG = { timeout: 180_000 }

it('under weather every time has one run, none is missing', LONG, async () => {
  const report = await simulate({ seed: 1, schedules: 30, minutes: 5, external: true, deaths: 6 })
  expect(report.problems).toEqual([])
  expect(report.fired).toBe(report.wanted)
  expect(report.wanted).toBe(30 * 5)
})

describe('one event', () => {
  let world: World
  afterEach(() => world.close())

  const begin = async (): Promise<readonly Replica[]> => {
    world = scheduleWorld('2026-03-10T11:59:30Z')
    for (let i = 0; i < 5; i++) await world.start({ trigger: 'eventbridge', pollMs: 60_000 })
    await world.put({ name: 's', expression: 'cron(0/5 * * * ? *)' })
    await world.clock.advance(35_000)
    return world.replicas
  }
  const time = Date.parse('2026-03-10T12:00:00Z')

  it('sent 185 times at once to five servers makes one run, and all are told which', async () => {
    const replicas = await begin()
    const answers = await world.driven(
      Promise.all(
        Array.from({ length: 185 }, (_, n) =>
          (replicas[n % 5] as Replica).schedules.fire({ schedule: 's', time, id: 'e1' }),
        ),
      ),
    )
    expect(answers.filter(({ created }) => created)).toHaveLength(1)
    expect(new Set(answers.map(({ run }) => run?.id))).toEqual(new Set(['report:s@2026-03-10T12:00:00Z']))
    expect(await world.runsOf('s')).toHaveLength(1)
  })

  it('sent again a day later makes none', LONG, async () => {
    const [server] = await begin()
    const event = { schedule: 's', time, id: 'e1' }
    expect((await server?.schedules.fire(event))?.created).toBe(true)
    await world.clock.advance(86_400_000)
    expect((await server?.schedules.fire(event))?.created).toBe(false)
    expect((await world.runsOf('s')).filter(({ at }) => at === '2026-03-10T12:00:00Z')).toHaveLength(1)
  })

  it('that never comes is made up for after a quarter of an hour, and does nothing when it comes after all', async () => {
    const [server] = await begin()
    const runsAtNoon = async () => (await world.runsOf('s')).filter(({ at }) => at === '2026-03-10T12:00:00Z')
    await world.clock.advance(14 * 60_000)
    expect(await runsAtNoon()).toEqual([])
    await world.clock.advance(3 * 60_000)
    expect(await runsAtNoon()).toMatchObject([{ state: 'queued' }])
    expect((await server?.schedules.fire({ schedule: 's', time, id: 'e1' }))?.created).toBe(false)
    expect(await runsAtNoon()).toHaveLength(1)
  })

  it('for a rate that others fire: it can be paused and changed', async () => {
    const [server] = await begin()
    await world.put({ name: 'r', expression: 'rate(1 minute)' })
    await world.clock.advance(180_000)
    const by = { by: 'ann' }
    const paused = server?.schedules.pause('r', by) ?? Promise.reject(new Error('no server'))
    expect((await world.driven(paused)).paused?.by).toBe('ann')
    await world.put({ name: 'r', expression: 'rate(2 minutes)' })
  })
})
