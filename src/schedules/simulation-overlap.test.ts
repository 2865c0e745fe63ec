/** Runs of one schedule that meet: what each overlap policy does, with workers that take their time and servers that die. */
import { afterEach, describe, expect, it } from 'vitest'
import type { OverlapPolicy } from './api.ts'
import { scheduleWorld, type World } from './testing/world.ts'

const MINUTE_MS = 60_000

let world: World
afterEach(() => world.close())

const shortId = (id: string): string => id.slice(-9, -4)

/** `12:01 running` */
async function states(): Promise<string[]> {
  return (await world.runsOf('s')).map(({ at, state }) => `${at.slice(11, 16)} ${state}`)
}

/** A worker takes what was sent. @returns what it runs now: id and epoch */
async function take(): Promise<readonly (readonly [id: string, epoch: number])[]> {
  const taken: (readonly [string, number])[] = []
  for (const id of world.queue.splice(0)) {
    const claim = await world.replicas[0]?.runs.claim(id, { worker: 'w', leaseMs: 900_000 })
    if (claim?.claimed === true) taken.push([id, claim.epoch])
  }
  return taken
}

async function takeOne(): Promise<readonly [id: string, epoch: number]> {
  const [one, ...more] = await take()
  if (one === undefined || more.length > 0)
    throw new Error(`${more.length + (one === undefined ? 0 : 1)} runs were sent, not 1`)
  return one
}

async function finish([id, epoch]: readonly [string, number], kind: 'succeeded' | 'cancelled' = 'succeeded') {
  const answer = await world.replicas[0]?.runs.finish(id, epoch, { kind })
  expect(answer?.accepted).toBe(true)
}

/** An every-minute schedule whose first run, of 12:01, is at work. */
async function begin(overlap: OverlapPolicy): Promise<readonly [id: string, epoch: number]> {
  world = scheduleWorld('2026-03-10T12:00:30Z')
  await world.start({ pollMs: 5_000 })
  await world.put({ name: 's', overlap })
  await world.clock.advance(35_000)
  return takeOne()
}

describe('skip', () => {
  it('records each time at which a run is under way as skipped, and names that run', async () => {
    const first = await begin('skip')
    await world.clock.advance(2 * MINUTE_MS)
    expect(await states()).toEqual(['12:01 running', '12:02 skipped', '12:03 skipped'])
    expect((await world.runsOf('s'))[1]?.reason).toContain(first[0])
    await finish(first)
    await world.clock.advance(MINUTE_MS)
    expect(await states()).toEqual(['12:01 succeeded', '12:02 skipped', '12:03 skipped', '12:04 queued'])
  })

  it('counts a run that waits for a worker as under way', async () => {
    await finish(await begin('skip'))
    await world.clock.advance(2 * MINUTE_MS)
    expect(await states()).toEqual(['12:01 succeeded', '12:02 queued', '12:03 skipped'])
  })
})

describe('allow', () => {
  it('lets runs go side by side', async () => {
    await begin('allow')
    await world.clock.advance(2 * MINUTE_MS)
    expect(await take()).toHaveLength(2)
    expect(await states()).toEqual(['12:01 running', '12:02 running', '12:03 running'])
  })
})

describe('queue', () => {
  it('sends the next one when the one before has ended, the oldest first', async () => {
    let now = await begin('queue')
    await world.clock.advance(3 * MINUTE_MS)
    expect(await states()).toEqual(['12:01 running', '12:02 queued', '12:03 queued', '12:04 queued'])
    expect(world.queue).toEqual([])
    for (const next of ['12:02', '12:03', '12:04']) {
      await finish(now)
      await world.clock.advance(1_000)
      now = await takeOne()
      expect(shortId(now[0])).toBe(next)
      await world.clock.advance(1_000)
    }
    await finish(now)
    expect(new Set((await states()).map((state) => state.slice(6)))).toEqual(new Set(['succeeded']))
  })

  it('keeps the order when servers die, and when another server hears of the end', async () => {
    const first = await begin('queue')
    await world.clock.advance(3 * MINUTE_MS)
    const [old] = world.replicas
    await world.start({ pollMs: 5_000 })
    await world.kill(old)
    await finish(first)
    await world.clock.advance(1_000)
    const second = await takeOne()
    expect(shortId(second[0])).toBe('12:02')
    const [again] = world.replicas
    await world.start({ pollMs: 5_000 })
    world.replicas.reverse()
    await finish(second) // heard by the newest one alone
    await world.kill(again)
    await world.clock.advance(6_000)
    expect(shortId((await takeOne())[0])).toBe('12:03')
  })

  it('lets a cancelled one go out of the line', async () => {
    const first = await begin('queue')
    await world.clock.advance(2 * MINUTE_MS)
    const second = (await world.runsOf('s'))[1]
    await world.replicas[0]?.runs.cancel(second?.id ?? '', { by: 'ann' })
    await finish(first)
    await world.clock.advance(6_000)
    expect(shortId((await takeOne())[0])).toBe('12:03')
  })

  it('deleted: those that are held are cancelled, the one at work stays', async () => {
    await begin('queue')
    await world.clock.advance(2 * MINUTE_MS)
    await world.replicas[0]?.schedules.delete('s', { by: 'ann' })
    await world.clock.advance(MINUTE_MS)
    expect(await states()).toEqual(['12:01 running', '12:02 cancelled', '12:03 cancelled'])
  })
})

describe('cancel-previous', () => {
  it('cancels the one at work, and sends the new one when it is gone', async () => {
    const first = await begin('cancel-previous')
    await world.clock.advance(MINUTE_MS)
    expect(await world.replicas[0]?.runs.get(first[0])).toMatchObject({
      state: 'running',
      cancel: expect.anything() as unknown,
    })
    expect(world.queue).toEqual([])
    await finish(first, 'cancelled')
    await world.clock.advance(6_000)
    expect(shortId((await takeOne())[0])).toBe('12:02')
    expect(await states()).toEqual(['12:01 cancelled', '12:02 running'])
  })

  it('cancels one that waits at once, so that the newest alone is left', async () => {
    const first = await begin('cancel-previous')
    await world.clock.advance(3 * MINUTE_MS)
    await finish(first, 'cancelled')
    await world.clock.advance(6_000)
    expect(shortId((await takeOne())[0])).toBe('12:04')
    expect(await states()).toEqual(['12:01 cancelled', '12:02 cancelled', '12:03 cancelled', '12:04 running'])
  })

  it('is done with one that no worker has within seconds', async () => {
    await finish(await begin('cancel-previous'))
    await world.clock.advance(2 * MINUTE_MS + 6_000)
    expect(await states()).toEqual(['12:01 succeeded', '12:02 cancelled', '12:03 queued'])
    expect(await take()).toHaveLength(1)
  })
})
