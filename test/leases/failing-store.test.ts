/** What the lease routes answer while the store fails: in the wire's form, and nothing has changed. */
import { Registry } from 'prom-client'
import { expect, it, onTestFinished } from 'vitest'
import { memoryStore } from '../../src/drivers/memory/index.ts'
import { seededRandom } from '../../src/kernel/id.ts'
import { ManualClock } from '../../src/kernel/manual-clock.ts'
import { leasesFace } from '../../src/leases/http.ts'
import { createLeasesService } from '../../src/leases/service.ts'
import { config as providerConfig, provider } from '../../src/leases/testing/world.ts'
import { buildApp } from '../../src/server/app.ts'
import { createAuth } from '../../src/server/auth/auth.ts'
import { configSchema } from '../../src/server/config/schema.ts'
import { createLogger } from '../../src/server/logger.ts'
import { OpenStreams } from '../../src/server/open-streams.ts'

it.each(['full', 'unavailable', 'lostBefore', 'throttled'] as const)(
  'a store that says %s is a 503 that may be repeated',
  async (fault) => {
    const clock = new ManualClock()
    const random = seededRandom(1)
    const store = memoryStore({ clock, random })
    const providers = [{ name: provider, config: { ...providerConfig, expectedCount: 1 } }]
    const leases = createLeasesService({ store, clock, random, providers })
    const app = await buildApp({
      auth: createAuth({ store, clock, random, required: false, ownerName: 'ann' }),
      config: configSchema.parse({}),
      version: '1.2.3',
      lifecycle: { state: 'ready' },
      checkStore: () => store.get(['readyz', '0']),
      faces: [leasesFace({ leases })],
      ownRoot: true,
      logger: createLogger({ level: 'silent', format: 'json' }, false),
      registry: new Registry(),
      clock,
      random,
      streams: new OpenStreams(),
    })
    onTestFinished(() => app.close())
    const ask = () =>
      app.inject({ method: 'POST', url: '/acme/shop/main/acquire', payload: { head_sha: 'a', priority: 1 } })
    store.faults.plan = { [fault]: 1 }
    const failing = ask()
    for (let i = 0; i < 60; i++) await clock.advance(1_000)
    const refused = await failing
    expect(refused.statusCode).toBe(503)
    expect(refused.headers['retry-after']).toBe('1')
    expect(refused.json()).toMatchObject({ error: expect.any(String), error_context: expect.any(String) })
    const readiness = app.inject('/k8s/readiness')
    await clock.settle()
    expect((await readiness).statusCode).toBe(fault === 'full' ? 200 : 500)
    store.faults.plan = {}
    expect((await app.inject('/acme/shop/main')).json()).toMatchObject({ acquired: null, known: [] })
    expect((await ask()).json()).toMatchObject({ status: 'acquired', fence: 1 })
  },
)
