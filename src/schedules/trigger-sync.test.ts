/** What keeps an external trigger in step, against a trigger in memory: starts, changes, failures, several servers. */
import { describe, expect, it } from 'vitest'
import { memoryDatabase } from '../drivers/memory/index.ts'
import { SignalboxError } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { auditPartition } from '../ports/audit.ts'
import type { Store } from '../ports/store.ts'
import type { Trigger, TriggerDrift, TriggerRule } from '../ports/trigger.ts'
import { createTriggerSync, type TriggerSync, type TriggerSyncEvent } from './trigger-sync.ts'

/** A trigger that keeps its rules in a map, and writes only what differs. */
class MemoryTrigger implements Trigger {
  readonly kind = 'eventbridge'
  readonly facts = { region: 'eu-west-1' }
  readonly there = new Map<string, TriggerRule>()
  readonly calls: string[] = []
  /** Thrown by the next calls. */
  readonly failures: Error[] = []
  shared: TriggerDrift | undefined
  /** Schedules that cannot be put, nor compared. */
  readonly broken = new Set<string>()
  /** Awaited by each call. */
  gate: Promise<void> = Promise.resolve()
  /** Calls under way, by server. */
  readonly #busy = new Map<number, number>()
  mostServers = 0

  /** As one server sees it. */
  of(server: number): Trigger {
    const as = async <T>(call: Promise<T>): Promise<T> => {
      this.#busy.set(server, (this.#busy.get(server) ?? 0) + 1)
      const servers = [...this.#busy.values()].filter((calls) => calls > 0).length
      this.mostServers = Math.max(this.mostServers, servers)
      return call.finally(() => this.#busy.set(server, (this.#busy.get(server) ?? 0) - 1))
    }
    return {
      kind: this.kind,
      facts: this.facts,
      objection: (rule) => this.objection(rule),
      put: (rule) => as(this.put(rule)),
      remove: (name) => as(this.remove(name)),
      reconcile: (rules, options) => as(this.reconcile(rules, options)),
      removeAll: () => as(this.removeAll()),
      close: () => this.close(),
    }
  }

  objection({ timeZone }: TriggerRule): string | undefined {
    return timeZone === 'UTC' ? undefined : `in UTC, not ${timeZone}`
  }

  put(rule: TriggerRule): Promise<void> {
    return this.#call(`put ${rule.name}`, () => {
      if (this.broken.has(rule.name)) throw new SignalboxError('unavailable', 'not this one')
      this.there.set(rule.name, rule)
    })
  }

  remove(name: string): Promise<void> {
    return this.#call(`remove ${name}`, () => void this.there.delete(name))
  }

  reconcile(
    rules: readonly TriggerRule[],
    { repair }: { readonly repair: boolean },
  ): Promise<TriggerDrift[]> {
    return this.#call(repair ? 'reconcile' : 'look', () => {
      const fits = rules.filter((rule) => this.objection(rule) === undefined)
      const missing = fits.filter(({ name }) => !this.there.has(name))
      if (fits.some(({ name }) => this.broken.has(name)))
        throw new SignalboxError('unavailable', 'not with this one')
      if (repair) for (const rule of fits) this.there.set(rule.name, rule)
      const drift = missing.map(({ name }): TriggerDrift => ({
        object: 'rule',
        name: `prefix-${name}`,
        schedule: name,
        problem: 'missing',
        detail: 'none',
        repaired: repair,
      }))
      return this.shared === undefined ? drift : [this.shared, ...drift]
    })
  }

  removeAll(): Promise<string[]> {
    return this.#call('removeAll', () => {
      const names = [...this.there.keys()]
      this.there.clear()
      return names
    })
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  async #call<T>(name: string, act: () => T): Promise<T> {
    this.calls.push(name)
    await this.gate
    const failure = this.failures.shift()
    if (failure !== undefined) throw failure
    return act()
  }
}

interface World {
  readonly clock: ManualClock
  readonly trigger: MemoryTrigger
  readonly store: Store
  readonly schedules: Map<string, TriggerRule>
  readonly events: TriggerSyncEvent[]
  /** One more server; one whose clock nobody moves is as good as dead. */
  readonly open: (own?: ManualClock) => TriggerSync
}

function rule(name: string, more: Partial<TriggerRule> = {}): TriggerRule {
  return { name, expression: 'rate(1 hour)', timeZone: 'UTC', enabled: true, ...more }
}

function world(names: readonly string[]): World {
  const clock = new ManualClock()
  const database = memoryDatabase({ limits: { keys: 'decimal' } })
  const trigger = new MemoryTrigger()
  const schedules = new Map(names.map((name) => [name, rule(name)]))
  const events: TriggerSyncEvent[] = []
  let seed = 0
  const open = (own = clock): TriggerSync =>
    createTriggerSync({
      trigger: trigger.of(seed),
      store: database.connect({ clock: own }),
      clock: own,
      random: seededRandom(++seed),
      rules: () => Promise.resolve([...schedules.values()]),
      rule: (name) => Promise.resolve(schedules.get(name)),
      onEvent: (event) => void events.push(event),
    })
  return { clock, store: database.connect({ clock }), trigger, schedules, events, open }
}

const unavailable = () => new SignalboxError('unavailable', 'AWS is away')
const reconciles = ({ trigger }: World): number => trigger.calls.filter((call) => call === 'reconcile').length

describe('the start', () => {
  it('compares everything, and says so of each schedule', async () => {
    const w = world(['a', 'b'])
    const sync = w.open()
    expect(sync.stateOf('a')).toMatchObject({ kind: 'eventbridge', state: 'pending' })
    sync.start()
    await w.clock.settle()
    expect([...w.trigger.there.keys()]).toEqual(['a', 'b'])
    expect(sync.stateOf('a')).toMatchObject({ state: 'in_sync', checkedAt: '2026-01-01T00:00:00.000Z' })
    expect(w.events.map(({ kind }) => kind)).toEqual(['reconciled'])
    await sync.close()
  })

  it('goes on while AWS is away, with longer and longer pauses, until it is there', async () => {
    const w = world(['a'])
    w.trigger.failures.push(...Array.from({ length: 4 }, unavailable))
    const sync = w.open()
    sync.start()
    await w.clock.settle()
    expect(sync.stateOf('a')).toMatchObject({ state: 'failed', error: 'AWS is away' })
    await w.clock.advance(3_600_000)
    expect(sync.stateOf('a').state).toBe('in_sync')
    expect(w.events.filter(({ kind }) => kind === 'failed')).toHaveLength(4)
    await sync.close()
  })

  it('says which cannot be had there, and why', async () => {
    const w = world(['a'])
    w.schedules.set('b', rule('b', { timeZone: 'Europe/Berlin' }))
    const sync = w.open()
    sync.start()
    await w.clock.settle()
    expect(sync.stateOf('b')).toMatchObject({ state: 'refused', error: 'in UTC, not Europe/Berlin' })
    expect(await sync.status()).toMatchObject({
      schedules: { in_sync: 1, refused: 1, pending: 0, failed: 0 },
    })
    await sync.close()
  })
})

describe('a change', () => {
  it('is put soon, as it is by then, however often it changed', async () => {
    const w = world([])
    const sync = w.open()
    sync.start()
    await w.clock.settle()
    w.trigger.calls.length = 0
    let open: () => void = () => {}
    w.trigger.gate = new Promise((resolve) => (open = resolve))
    w.schedules.set('a', rule('a', { enabled: false }))
    sync.changed('a')
    await w.clock.settle()
    for (const expression of ['rate(2 hours)', 'rate(3 hours)', 'rate(4 hours)']) {
      w.schedules.set('a', rule('a', { expression }))
      sync.changed('a')
    }
    expect(sync.stateOf('a').state).toBe('pending')
    open()
    await w.clock.advance(5_000)
    expect(w.trigger.calls).toEqual(['put a', 'put a'])
    expect(w.trigger.there.get('a')?.expression).toBe('rate(4 hours)')
    expect(sync.stateOf('a').state).toBe('in_sync')
    await sync.close()
  })

  it('removes what was deleted, and what can be had there no longer', async () => {
    const w = world(['a', 'b'])
    const sync = w.open()
    sync.start()
    await w.clock.settle()
    w.schedules.delete('a')
    w.schedules.set('b', rule('b', { timeZone: 'Asia/Tokyo' }))
    sync.changed('a')
    sync.changed('b')
    await w.clock.advance(5_000)
    expect(w.trigger.there.size).toBe(0)
    expect(sync.stateOf('b').state).toBe('refused')
    await sync.close()
  })

  it('that fails is tried again, and does not hold up the others', async () => {
    const w = world([])
    const sync = w.open()
    sync.start()
    await w.clock.settle()
    w.trigger.failures.push(unavailable())
    for (const name of ['a', 'b']) {
      w.schedules.set(name, rule(name))
      sync.changed(name)
    }
    await w.clock.settle()
    expect([sync.stateOf('a').state, sync.stateOf('b').state]).toEqual(['failed', 'in_sync'])
    await w.clock.advance(60_000)
    expect(sync.stateOf('a').state).toBe('in_sync')
    await sync.close()
  })

  it('need not wait for one that fails and fails', async () => {
    const w = world([])
    const sync = w.open()
    sync.start()
    await w.clock.settle()
    w.trigger.broken.add('bad')
    w.schedules.set('bad', rule('bad'))
    sync.changed('bad')
    // By now the pauses between its tries are minutes.
    await w.clock.advance(500_000)
    w.schedules.set('good', rule('good'))
    sync.changed('good')
    await w.clock.advance(2_000)
    expect([sync.stateOf('good').state, sync.stateOf('bad').state]).toEqual(['in_sync', 'failed'])
    const tries = w.trigger.calls.filter((call) => call === 'put bad').length
    expect(tries).toBeGreaterThan(3)
    expect(tries).toBeLessThan(30)
    await sync.close()
  })

  it('that failed is not taken for put when the next comparison fails too', async () => {
    const w = world(['a'])
    const sync = w.open()
    sync.start()
    await w.clock.settle()
    w.trigger.failures.push(
      new SignalboxError('conflict', 'the event bus is full'),
      ...Array.from({ length: 9 }, unavailable),
    )
    w.schedules.set('b', rule('b'))
    sync.changed('b')
    await w.clock.advance(700_000)
    expect(sync.stateOf('b').state).toBe('failed')
    expect((await sync.status()).error).toBe('AWS is away')
    await sync.close()
  })

  it('that is refused for good is told, and left to the next comparison', async () => {
    const w = world([])
    const sync = w.open()
    sync.start()
    await w.clock.settle()
    w.trigger.failures.push(new SignalboxError('conflict', 'the event bus is full'))
    w.schedules.set('a', rule('a'))
    sync.changed('a')
    await w.clock.advance(60_000)
    expect(w.trigger.calls.filter((call) => call === 'put a')).toHaveLength(1)
    expect(sync.stateOf('a')).toMatchObject({ state: 'failed', error: 'the event bus is full' })
    await w.clock.advance(700_000)
    expect(sync.stateOf('a').state).toBe('in_sync')
    await sync.close()
  })
})

describe('several servers on one store', () => {
  it('work on it one at a time, and compare it once in a while between them', async () => {
    const w = world(['a'])
    const servers = Array.from({ length: 3 }, () => w.open())
    for (const server of servers) server.start()
    await w.clock.advance(60_000)
    // Each at its start, since each may have another configuration.
    expect(reconciles(w)).toBe(3)
    for (let i = 0; i < 30; i++) {
      w.schedules.set(`s${i}`, rule(`s${i}`))
      servers[i % 3]?.changed(`s${i}`)
    }
    await w.clock.advance(30_000)
    expect(w.trigger.there.size).toBe(31)
    await w.clock.advance(6_000_000)
    expect(reconciles(w)).toBeLessThan(3 + 16)
    expect(reconciles(w)).toBeGreaterThan(3 + 7)
    expect(w.trigger.mostServers).toBe(1)
    expect(servers.map((server) => server.stateOf('a').state)).toEqual(['in_sync', 'in_sync', 'in_sync'])
    for (const server of servers) await server.close()
  })

  it('take over from one that died at work, once its turn has ended', async () => {
    const w = world(['a'])
    w.trigger.gate = new Promise(() => {})
    const dead = new ManualClock()
    w.open(dead).start()
    await dead.settle()
    expect(reconciles(w)).toBe(1)
    w.trigger.gate = Promise.resolve()
    const alive = w.open()
    alive.start()
    await w.clock.advance(20_000)
    expect(reconciles(w)).toBe(1)
    await w.clock.advance(20_000)
    expect(reconciles(w)).toBe(2)
    expect([...w.trigger.there.keys()]).toEqual(['a'])
    await alive.close()
  })
})

describe('by hand', () => {
  it('looks without writing', async () => {
    const w = world(['a'])
    const { drift } = await w.open().reconcile({ dryRun: true }, { by: 'anna' })
    expect(drift).toMatchObject([{ problem: 'missing', repaired: false }])
    expect(w.trigger.calls).toEqual(['look'])
  })

  it('repairs at once', async () => {
    const w = world(['a'])
    const { drift } = await w.open().reconcile({}, { by: 'anna' })
    expect(drift).toMatchObject([{ problem: 'missing', repaired: true }])
  })

  it('removes everything, after which nobody puts anything until it is reconciled by hand', async () => {
    const w = world(['a'])
    const [one, two] = [w.open(), w.open()]
    one.start()
    two.start()
    await w.clock.advance(5_000)
    expect(await one.remove({ by: 'anna' })).toEqual({ removed: ['a'] })
    w.schedules.set('b', rule('b'))
    two.changed('b')
    await w.clock.advance(1_300_000)
    expect(w.trigger.there.size).toBe(0)
    expect(two.stateOf('a').state).toBe('pending')
    expect(two.stateOf('a').error).toContain('removed by anna')
    expect(await two.status()).toMatchObject({ removed: { by: 'anna' } })
    const again = two.reconcile({}, { by: 'ben' })
    await w.clock.advance(5_000)
    await again
    expect([...w.trigger.there.keys()]).toEqual(['a', 'b'])
    expect((await one.status()).removed).toBeUndefined()
    const partition = auditPartition(w.clock.now())
    const { records } = await w.store.list({ partition }, { limit: 10 })
    expect(records.map(({ value }) => value)).toMatchObject([
      { actor: 'anna', action: 'schedules.trigger_remove', target: 'eventbridge' },
      { actor: 'ben', action: 'schedules.trigger_reconcile' },
    ])
    await one.close()
    await two.close()
  })
})

it('of the connection fails every schedule, however many', async () => {
  const names = Array.from({ length: 300 }, (_, i) => `s${i}`)
  const w = world(names)
  w.trigger.shared = {
    object: 'connection',
    name: 'c',
    problem: 'foreign',
    detail: 'not ours',
    repaired: false,
  }
  const sync = w.open()
  sync.start()
  await w.clock.settle()
  expect(await sync.status()).toMatchObject({ schedules: { failed: 300 }, error: "connection 'c': not ours" })
  expect(sync.stateOf('s299').error).toBe("connection 'c': not ours")
  await sync.close()
})

describe('the end', () => {
  it('gives up what is under way, and leaves no timer', async () => {
    const w = world(['a'])
    const sync = w.open()
    sync.start()
    await w.clock.advance(1_000)
    sync.changed('a')
    await sync.close()
    expect(w.clock.pendingTimers).toBe(0)
  })

  it('does not wait for a call that nobody answers', async () => {
    const w = world(['a'])
    w.trigger.gate = new Promise(() => {})
    const sync = w.open()
    sync.start()
    await w.clock.settle()
    const closing = sync.close()
    await w.clock.advance(5_000)
    await closing
  })
})
