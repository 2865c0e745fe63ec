import { describe, expect, it } from 'vitest'
import { ManualClock } from '../../kernel/manual-clock.ts'
import { seededRandom } from '../../kernel/id.ts'
import type { Change, CommitResult, Key, Store } from '../../ports/store.ts'
import { storeConformance } from '../conformance/store-suite.ts'
import { memoryDatabase, memoryStore, type MemoryStore } from './index.ts'

storeConformance('memory', async () => {
  const clock = new ManualClock()
  const database = memoryDatabase()
  const opened = [database.connect({ clock })]
  return {
    store: opened[0] as Store,
    advance: (ms) => clock.advance(ms),
    reopen: async () => {
      await opened.at(-1)?.close()
      opened.push(database.connect({ clock }))
      return opened.at(-1) as Store
    },
    close: async () => {
      for (const store of opened) await store.close()
    },
  }
})

storeConformance(
  'memory with decimal keys only',
  async () => {
    const clock = new ManualClock()
    const store = memoryStore({ clock, limits: { keys: 'decimal' } })
    return { store, advance: (ms) => clock.advance(ms), close: () => store.close() }
  },
  { keys: 'decimal' },
)

storeConformance('memory with delays, late hints and conflicts that never happen', async () => {
  const clock = new ManualClock()
  const faults = { delayBeforeMs: [0, 0], delayAfterMs: [0, 0], conflict: 0 } as const
  const store = memoryStore({ clock, faults })
  const running = { on: true }
  const turn = async (): Promise<void> => {
    while (running.on) await clock.advance(0)
  }
  const turning = turn()
  return {
    store,
    advance: (ms) => clock.advance(ms),
    close: async () => {
      await store.close()
      running.on = false
      await turning
    },
  }
})

const at: Key = ['p', 'k']
const write = (value: number, expected: Change['expect'] = 'absent'): Change[] => [
  { key: at, expect: expected, op: 'put', value },
]

function pair(): { clock: ManualClock; a: MemoryStore; b: MemoryStore } {
  const clock = new ManualClock()
  const database = memoryDatabase()
  return { clock, a: database.connect({ clock }), b: database.connect({ clock }) }
}

describe('handles on one memory database', () => {
  it('see each other’s commits, and share versions', async () => {
    const { a, b } = pair()
    const first = await a.commit(write(1))
    expect(await b.get(at)).toMatchObject({ value: 1 })
    const second = await b.commit(write(2, 'present'))
    expect(first.ok && second.ok && first.versions[0]).not.toBe(second.ok && second.versions[0])
  })

  it('hint each other’s watchers', async () => {
    const { a, b } = pair()
    const iterator = b.watch({ partition: 'p' }, new AbortController().signal)[Symbol.asyncIterator]()
    await iterator.next()
    const hint = iterator.next()
    await a.commit(write(1))
    expect((await hint).done).toBe(false)
  })

  it('close on their own', async () => {
    const { a, b } = pair()
    await a.commit(write(1))
    await a.close()
    expect((await b.get(at))?.value).toBe(1)
  })
})

describe('a scripted fault', () => {
  const codes = { lostAfter: 'outcome_unknown', lostBefore: 'outcome_unknown', full: 'unavailable' } as const

  it.each([
    ['lostAfter', codes.lostAfter, true],
    ['lostBefore', codes.lostBefore, false],
    ['throttled', 'throttled', false],
    ['unavailable', 'unavailable', false],
    ['full', codes.full, false],
  ] as const)('%s makes the next commit throw %s, applied: %s', async (fault, code, applied) => {
    const { a, b } = pair()
    a.faults.next('commit', fault)
    await expect(a.commit(write(1))).rejects.toMatchObject({ code })
    expect((await b.get(at))?.value).toBe(applied ? 1 : undefined)
    expect(a.faults.injected[fault]).toBe(1)
    expect((await a.commit(write(2, applied ? 'present' : 'absent'))).ok).toBe(true)
  })

  it('conflict answers without telling why, and applies nothing', async () => {
    const { a } = pair()
    a.faults.next('commit', 'none', 'conflict')
    expect((await a.commit(write(1))).ok).toBe(true)
    expect(await a.commit(write(2, 'present'))).toEqual({ ok: false, failed: 'unknown' })
    expect((await a.get(at))?.value).toBe(1)
    expect(a.faults.injected.conflict).toBe(1)
  })

  it('makes reads fail as unavailable or throttled, never as unknown', async () => {
    const { a } = pair()
    a.faults.next('get', 'lostAfter', 'throttled')
    await expect(a.get(at)).rejects.toMatchObject({ code: 'unavailable' })
    await expect(a.get(at)).rejects.toMatchObject({ code: 'throttled' })
    a.faults.next('list', 'unavailable')
    await expect(a.list({ partition: 'p' }, { limit: 1 })).rejects.toMatchObject({ code: 'unavailable' })
    expect(() => a.faults.next('get', 'conflict')).toThrow('does not apply')
  })

  it('can stop a commit before or after its effect for a test to act in between', async () => {
    const { a, b } = pair()
    const before = a.faults.hold('commit', 'before')
    const loser = a.commit(write(1))
    await before.reached
    await b.commit(write(2))
    before.release()
    expect(await loser).toEqual({ ok: false, failed: [at] })

    const after = a.faults.hold('commit', 'after')
    const slow = a.commit(write(3, 'present'))
    await after.reached
    expect((await b.get(at))?.value).toBe(3)
    after.release()
    expect((await slow).ok).toBe(true)
  })
})

describe('a fault plan', () => {
  const play = async (seed: number): Promise<{ answers: string[]; store: MemoryStore }> => {
    const faults = {
      conflict: 0.2,
      lostAfter: 0.1,
      lostBefore: 0.1,
      throttled: 0.1,
      unavailable: 0.1,
      full: 0.1,
    }
    const store = memoryStore({ clock: new ManualClock(), random: seededRandom(seed), faults })
    const answers: string[] = []
    for (let i = 0; i < 300; i++) {
      const answer = store.commit([{ key: ['p', `k${i}`], expect: 'absent', op: 'put', value: i }])
      answers.push(
        await answer.then(
          (r: CommitResult) => String(r.ok),
          (e: Error) => e.message,
        ),
      )
    }
    return { answers, store }
  }

  it('plays the same from the same seed, and injects every kind', async () => {
    const [first, again, other] = [await play(1), await play(1), await play(2)]
    expect(first.answers).toEqual(again.answers)
    expect(first.answers).not.toEqual(other.answers)
    const { injected } = first.store.faults
    for (const kind of ['conflict', 'lostAfter', 'lostBefore', 'throttled', 'unavailable', 'full'] as const) {
      expect(injected[kind]).toBeGreaterThan(0)
    }
    expect(first.store.operations.commit).toBe(300)
    expect(first.store.operations.recordsWritten).toBe(
      first.answers.filter((a) => a === 'true').length + injected.lostAfter,
    )
  })

  it('delays on the clock, before and after the effect', async () => {
    const { clock, a, b } = pair()
    a.faults.plan = { delayBeforeMs: [100, 100], delayAfterMs: [50, 50] }
    let answered = false
    const committed = a.commit(write(1)).then(() => (answered = true))
    await clock.advance(99)
    expect(await b.get(at)).toBeUndefined()
    await clock.advance(1)
    expect((await b.get(at))?.value).toBe(1)
    expect(answered).toBe(false)
    await clock.advance(50)
    await committed
    expect(a.faults.injected.delay).toBe(2)
  })

  it('brings hints late, but brings them', async () => {
    const { clock, a, b } = pair()
    b.faults.plan = { hintDelayed: 1, hintDelayMs: [1_000, 1_000] }
    const iterator = b.watch({ partition: 'p' }, new AbortController().signal)[Symbol.asyncIterator]()
    await iterator.next()
    let hinted = false
    const hint = iterator.next().then(() => (hinted = true))
    await a.commit(write(1))
    await clock.advance(999)
    expect(hinted).toBe(false)
    await clock.advance(1)
    await hint
    expect(b.faults.injected.hintDelayed).toBe(1)
  })
})

describe('a cut', () => {
  it('lets calls hang until it is healed, then they go on', async () => {
    const { clock, a, b } = pair()
    a.faults.cut()
    let answered = false
    const committed = a.commit(write(1)).then((r) => (answered = r.ok))
    await clock.advance(3_600_000)
    expect([answered, await b.get(at)]).toEqual([false, undefined])
    a.faults.heal()
    await committed
    expect((await b.get(at))?.value).toBe(1)
  })

  it('makes calls fail after a while: reads as unavailable, writes as told', async () => {
    const { clock, a } = pair()
    a.faults.cut({ failAfterMs: 500 })
    const results = Promise.allSettled([a.get(at), a.commit(write(1))])
    await clock.advance(500)
    expect(await results).toMatchObject([
      { reason: { code: 'unavailable' } },
      { reason: { code: 'outcome_unknown' } },
    ])
    a.faults.cut({ failAfterMs: 500, code: 'unavailable' })
    const refused = expect(a.commit(write(1))).rejects.toMatchObject({ code: 'unavailable' })
    await clock.advance(500)
    await refused
    expect(clock.pendingTimers).toBe(0)
  })

  it('while the answer travels leaves the outcome unknown', async () => {
    const { clock, a, b } = pair()
    a.faults.plan = { delayAfterMs: [100, 100] }
    const unknown = expect(a.commit(write(1))).rejects.toMatchObject({ code: 'outcome_unknown' })
    a.faults.cut({ failAfterMs: 500, code: 'unavailable' })
    await clock.advance(600)
    await unknown
    expect((await b.get(at))?.value).toBe(1)
  })

  it('keeps hints out until it is healed, then hints', async () => {
    const { clock, a, b } = pair()
    const iterator = b.watch({ partition: 'p' }, new AbortController().signal)[Symbol.asyncIterator]()
    await iterator.next()
    b.faults.cut()
    let hinted = false
    const hint = iterator.next().then(() => (hinted = true))
    await a.commit(write(1))
    await clock.settle()
    expect(hinted).toBe(false)
    b.faults.heal()
    await hint
  })

  it('does not keep close from ending', async () => {
    const { a } = pair()
    a.faults.cut()
    const hanging = expect(a.commit(write(1))).rejects.toMatchObject({ code: 'outcome_unknown' })
    await a.close()
    await hanging
  })
})

describe('the clock of a handle', () => {
  it('can be skewed and jump, within a stated uncertainty', () => {
    const { clock, a, b } = pair()
    a.faults.clockOffsetMs = -300
    a.faults.clockUncertaintyMs = 500
    expect(a.now()).toEqual({ ms: clock.now() - 300, uncertaintyMs: 500 })
    expect(b.now()).toEqual({ ms: clock.now(), uncertaintyMs: 0 })
  })
})
