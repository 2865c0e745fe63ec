import { expect, it } from 'vitest'
import { memoryDatabase } from '../drivers/memory/index.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { providerLabel } from './api.ts'
import { createLeasesService, type LeasesService } from './service.ts'

const config = {
  stabilizeMs: 0,
  ttlMs: 60_000,
  expectedCount: 1,
  delayCount: 0,
  maxLeaseMs: 3_600_000,
  coolDownMs: 0,
}
const provider = { owner: 'octo', repo: 'app', baseRef: 'main' }

it('who looks on at one server is told of providers and changes that another one made', async () => {
  const clock = new ManualClock()
  const database = memoryDatabase({ limits: { keys: 'decimal' } })
  const service = (seed: number): LeasesService =>
    createLeasesService({
      store: database.connect({ clock }),
      clock,
      random: seededRandom(seed),
      providers: [],
      anyProvider: config,
      shared: true,
    })
  const [here, there] = [service(1), service(2)]
  const told: string[] = []
  const stop = here.onChange((name) => told.push(providerLabel(name)))
  const look = async (): Promise<void> => {
    await clock.advance(2_100)
    await clock.settle()
  }
  const request = { sha: 'a', ref: undefined, priority: 1, leaseMs: undefined }
  await there.acquire(provider, request)
  await look()
  expect(told).toEqual(['octo/app@main'])
  expect((await here.names()).map(providerLabel)).toEqual(['octo/app@main'])
  await look()
  expect(told).toHaveLength(1)
  await there.release(provider, { sha: 'a', ref: undefined, priority: 1, success: true })
  await look()
  expect(told).toHaveLength(2)
  stop()
  await Promise.all([here.close(), there.close()])
  expect(clock.pendingTimers).toBe(0)
})
