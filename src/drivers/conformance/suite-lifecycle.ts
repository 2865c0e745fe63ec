import { describe, expect, it } from 'vitest'
import {
  apply,
  fill,
  freshPartition,
  key,
  listAll,
  put,
  remove,
  valuesOf,
  type ConformanceOptions,
  type OpenTarget,
} from './context.ts'

export function lifecycleSuite(open: OpenTarget, options: ConformanceOptions): void {
  describe('engine time', () => {
    it('is known, with its uncertainty, and goes with the engine', async () => {
      const { store, advance, close } = await open()
      await store.get(key(freshPartition(), 1))
      const before = store.now()
      expect(Number.isFinite(before.ms)).toBe(true)
      expect(before.uncertaintyMs).toBeGreaterThanOrEqual(0)
      expect(before.uncertaintyMs).toBeLessThan(60_000)
      await advance?.(5_000)
      await store.get(key(freshPartition(), 1))
      const after = store.now()
      const slack = before.uncertaintyMs + after.uncertaintyMs
      const passed = after.ms - before.ms
      expect(passed).toBeGreaterThanOrEqual((advance === undefined ? 0 : 5_000) - slack)
      await close()
    })
  })

  describe('close', () => {
    it('may be repeated', async () => {
      const { store, close } = await open()
      await Promise.all([store.close(), store.close()])
      await store.close()
      await close()
    })

    it('finishes commits under way', async () => {
      const { store, reopen, close } = await open()
      const partition = freshPartition()
      const commits = Array.from({ length: 50 }, (_, i) => store.commit([put(key(partition, i), i)]))
      const closed = store.close()
      expect((await Promise.all(commits)).every(({ ok }) => ok)).toBe(true)
      await closed
      if (reopen !== undefined) expect(await valuesOf(await reopen(), { partition })).toHaveLength(50)
      await close()
    })

    it('makes every later call throw unavailable', async () => {
      const { store, close } = await open()
      await store.close()
      const at = key(freshPartition(), 1)
      const refusal = { code: 'unavailable' }
      await expect(store.get(at)).rejects.toMatchObject(refusal)
      await expect(store.list({ partition: at[0] }, { limit: 1 })).rejects.toMatchObject(refusal)
      await expect(store.commit([put(at, 1)])).rejects.toMatchObject(refusal)
      await expect(store.deleteRange({ partition: at[0] })).rejects.toMatchObject(refusal)
      expect(() => store.now()).toThrow(expect.objectContaining(refusal))
      if (options.watch !== false) {
        const watched = async (): Promise<void> => {
          for await (const _ of store.watch!({ partition: at[0] }, new AbortController().signal)) break
        }
        await expect(watched()).rejects.toMatchObject(refusal)
      }
      await close()
    })
  })

  describe('opening the same data again', () => {
    it('finds everything that was acknowledged, and nothing that was deleted', async ({ skip }) => {
      const { store, reopen, close } = await open()
      if (reopen === undefined) {
        await close()
        return skip('this target does not reopen')
      }
      const partition = freshPartition()
      await fill(
        store,
        partition,
        Array.from({ length: 300 }, (_, i) => ({ i })),
      )
      await apply(store, put(key(partition, 0), 'changed', 'present'), remove(key(partition, 1)))
      await store.deleteRange({ partition, from: key(partition, 250)[1] })
      const before = await listAll(store, { partition })
      const reopened = await reopen()
      expect(before).toHaveLength(249)
      expect(await listAll(reopened, { partition })).toEqual(before)
      await close()
    })

    it('goes on with versions never given before', async ({ skip }) => {
      const { store, reopen, close } = await open()
      if (reopen === undefined) {
        await close()
        return skip('this target does not reopen')
      }
      const at = key(freshPartition(), 1)
      const [first] = await apply(store, put(at, 'same'))
      await apply(store, remove(at))
      const reopened = await reopen()
      const [second] = await apply(reopened, put(at, 'same'))
      expect(second).not.toBe(first)
      await close()
    })
  })
}
