/**
 * A server that dies at any of its writes, just before the write or just after it and before anything was answered: whoever repeats its call
 * hears what it would have heard, and the provider ends as if nothing had happened. So no acknowledged grant or release is lost, and none is
 * made twice. (test/system/leases.test.ts kills a real process at each of its writes.)
 */
import { expect, it } from 'vitest'
import { memoryDatabase } from '../../src/drivers/memory/index.ts'
import { seededRandom } from '../../src/kernel/id.ts'
import { ManualClock } from '../../src/kernel/manual-clock.ts'
import type { LeaseAnswer, ProviderView, Refusal } from '../../src/leases/api.ts'
import { createLeasesService, type LeasesService } from '../../src/leases/service.ts'
import { config, provider } from '../../src/leases/testing/world.ts'
import type { Store } from '../../src/ports/store.ts'
import { story, STORY_EXPECTS, type Call } from './support/story.ts'

const SIDES = ['before', 'after'] as const

interface Death {
  /** The write at which the process dies, counted from 1. */
  readonly at: number
  readonly side: (typeof SIDES)[number]
}

interface End {
  readonly told: readonly string[]
  readonly view: ProviderView
  readonly writes: number
  readonly deaths: number
}

/** Plays the story on a memory store; after a death a new service goes on, and unanswered calls are sent again. */
async function play(death?: Death): Promise<End> {
  const clock = new ManualClock()
  const database = memoryDatabase()
  let writes = 0
  let deaths = 0
  let died = Promise.withResolvers<'died'>()
  const open = (): LeasesService => {
    const store = mortal(database.connect({ clock }), async (write) => {
      const dies = ++writes === death?.at
      const applied = dies && death?.side === 'before' ? undefined : await write()
      if (!dies) return applied
      deaths++
      died.resolve('died')
      return new Promise(() => {}) // nobody is left to hear it
    })
    const providers = [{ name: provider, config: { ...config, expectedCount: STORY_EXPECTS } }]
    return createLeasesService({ store, clock, random: seededRandom(deaths + 1), providers })
  }
  let leases = open()
  const told: string[] = []
  for (const together of story) {
    const hears = new Map<Call, string>()
    while (hears.size < together.length) {
      const unanswered = together.filter((call) => !hears.has(call))
      const answered = Promise.all(unanswered.map(async (call) => hears.set(call, await send(leases, call))))
      if ((await Promise.race([answered, died.promise])) !== 'died') continue
      died = Promise.withResolvers()
      leases = open()
    }
    told.push(...together.map((call) => hears.get(call) ?? ''))
  }
  // What lies in the store, not what the last one remembers.
  return { told, view: await open().show(provider), writes, deaths }
}

/** A store whose writes go through `writing`. */
function mortal(store: Store, writing: (write: () => Promise<unknown>) => Promise<unknown>): Store {
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      const method = value.bind(target) as (...args: unknown[]) => Promise<unknown>
      const writes = name === 'commit' || name === 'deleteRange'
      return writes ? (...args: unknown[]) => writing(() => method(...args)) : method
    },
  })
}

async function send(leases: LeasesService, call: Call): Promise<string> {
  const { sha, priority } = call
  switch (call.do) {
    case 'acquire': {
      const leaseMs = call.leaseSeconds === undefined ? undefined : call.leaseSeconds * 1_000
      return tell(await leases.acquire(provider, { sha, priority, leaseMs }))
    }
    case 'release':
      return tell(await leases.release(provider, { sha, priority, success: call.status === 'success' }))
    case 'clear':
      await leases.clear(provider, { by: 'ann' })
      return 'cleared'
  }
}

function tell(answer: LeaseAnswer | Refusal): string {
  if (answer.kind === 'refused') return 'refused'
  return answer.status === 'acquired' ? `acquired ${answer.fence}` : answer.status
}

const undisturbed = await play()

it('is told as planned when nobody dies', () => {
  expect(undisturbed.told).toEqual(story.flat().map(({ told }) => told))
  expect(undisturbed.writes).toBeGreaterThan(15)
  expect(undisturbed.view).toMatchObject({ phase: 'held', lastFence: 5, holder: { sha: 'l' } })
})

it.each(SIDES)('a death just %s any write changes nothing that anybody hears', async (side) => {
  for (let at = 1; at <= undisturbed.writes; at++) {
    const { told, view, deaths } = await play({ at, side })
    expect(deaths).toBe(1)
    expect(told, `write ${at}`).toEqual(undisturbed.told)
    expect(view, `write ${at}`).toEqual(undisturbed.view)
  }
})
