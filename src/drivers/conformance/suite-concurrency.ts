import { describe, expect, it } from 'vitest'
import { apply, freshPartition, key, listAll, openForBlock, put, type OpenTarget } from './context.ts'

export function concurrencySuite(open: OpenTarget): void {
  describe('many callers', () => {
    const context = openForBlock(open)

    it('of one version have exactly one winner', async () => {
      const { store } = context
      const at = key(freshPartition(), 1)
      let [version] = await apply(store, put(at, -1))
      for (let round = 0; round < 5; round++) {
        const expected = { version: version! }
        const results = await Promise.all(
          Array.from({ length: 40 }, (_, i) => store.commit([put(at, i, expected)])),
        )
        const winners = results.flatMap((result, i) =>
          result.ok ? [{ i, version: result.versions[0] }] : [],
        )
        expect(winners).toHaveLength(1)
        expect(await store.get(at)).toEqual({ key: at, version: winners[0]?.version, value: winners[0]?.i })
        version = winners[0]?.version
      }
    })

    it('of one absent key have exactly one winner', async () => {
      const at = key(freshPartition(), 1)
      const results = await Promise.all(
        Array.from({ length: 40 }, (_, i) => context.store.commit([put(at, i), put(key(at[0], 100 + i), i)])),
      )
      expect(results.filter(({ ok }) => ok)).toHaveLength(1)
      const winner = results.findIndex(({ ok }) => ok)
      expect((await listAll(context.store, { partition: at[0] })).map((r) => r.value)).toEqual([
        winner,
        winner,
      ])
    })

    it('lose no increment of a counter', async () => {
      const { store } = context
      const at = key(freshPartition(), 1)
      await apply(store, put(at, 0))
      const increment = async (): Promise<void> => {
        for (;;) {
          const record = await store.get(at)
          const next = put(at, (record!.value as number) + 1, { version: record!.version })
          if ((await store.commit([next])).ok) return
        }
      }
      await Promise.all(Array.from({ length: 15 }, increment))
      expect((await store.get(at))?.value).toBe(15)
    })

    it('500 at once, each with its own key, all succeed', async () => {
      const partition = freshPartition()
      const versions = await Promise.all(
        Array.from({ length: 500 }, (_, i) => apply(context.store, put(key(partition, i), i))),
      )
      expect(new Set(versions.flat()).size).toBe(500)
      const records = await listAll(context.store, { partition })
      expect(records.map(({ value }) => value)).toEqual(Array.from({ length: 500 }, (_, i) => i))
      expect(records.map(({ version }) => version)).toEqual(versions.flat())
    })

    it('never read something older than what was acknowledged before, nor go back', async () => {
      const { store } = context
      const at = key(freshPartition(), 1)
      await apply(store, put(at, 0))
      const progress = { acknowledged: 0, writing: true }
      const writer = async (): Promise<void> => {
        for (let n = 1; n <= 60; n++) {
          await apply(store, put(at, n, 'present'))
          progress.acknowledged = n
        }
        progress.writing = false
      }
      const reader = async (read: () => Promise<unknown>): Promise<void> => {
        let last = 0
        while (progress.writing) {
          const atLeast = Math.max(last, progress.acknowledged)
          last = (await read()) as number
          expect(last).toBeGreaterThanOrEqual(atLeast)
          // Reads of an embedded store settle in microtasks; the writer's turn comes with the event loop's.
          await new Promise<void>((resolve) => setImmediate(resolve))
        }
      }
      await Promise.all([
        writer(),
        reader(async () => (await store.get(at))?.value),
        reader(async () => (await store.list({ partition: at[0] }, { limit: 5 })).records[0]?.value),
      ])
    })
  })
}
