import { describe, expect, it } from 'vitest'
import type { Key } from '../../ports/store.ts'
import {
  apply,
  check,
  expectFailed,
  fill,
  freshPartition,
  key,
  listAll,
  openForBlock,
  put,
  remove,
  valuesOf,
  type OpenTarget,
} from './context.ts'

const MINUTE = 60_000

export function expirySuite(open: OpenTarget): void {
  describe('expiry', () => {
    const context = openForBlock(open)
    /** A record whose time is over, and its version. */
    const expired = async (at: Key): Promise<string> => {
      const [version] = await apply(context.store, put(at, 'old', 'absent', context.store.now().ms - MINUTE))
      return version!
    }

    it('leaves a record alone until its time', async () => {
      const at = key(freshPartition(), 1)
      await apply(context.store, put(at, 'fresh', 'absent', context.store.now().ms + 60 * MINUTE))
      expect((await context.store.get(at))?.value).toBe('fresh')
      await apply(context.store, put(at, 'renewed', 'present', context.store.now().ms + 60 * MINUTE))
      expect(await valuesOf(context.store, { partition: at[0] })).toEqual(['renewed'])
    })

    it('begins at the given millisecond', async ({ skip }) => {
      const { store, advance } = context
      if (advance === undefined) return skip('this target cannot move its time')
      const at = key(freshPartition(), 1)
      await apply(store, put(at, 'brief', 'absent', store.now().ms + MINUTE))
      await advance(MINUTE - 1)
      expect((await store.get(at))?.value).toBe('brief')
      await advance(1)
      expect(await store.get(at)).toBeUndefined()
      expect(await listAll(store, { partition: at[0] })).toEqual([])
    })

    it('hides a record from get and list, and pages pass over it', async () => {
      const { store } = context
      const partition = freshPartition()
      await fill(store, partition, [0, 1, 2, 3, 4, 5])
      const past = store.now().ms - MINUTE
      await apply(store, ...[1, 2, 4].map((n) => put(key(partition, n), 'old', 'present', past)))
      expect(await store.get(key(partition, 1))).toBeUndefined()
      for (const limit of [1, 2, 100]) {
        expect(await valuesOf(store, { partition }, { limit })).toEqual([0, 3, 5])
        expect(await valuesOf(store, { partition }, { limit, reverse: true })).toEqual([5, 3, 0])
      }
    })

    it('makes a record absent for every expectation', async () => {
      const { store } = context
      const at = key(freshPartition(), 1)
      const version = await expired(at)
      for (const wrong of ['present', { version }] as const) {
        expectFailed(await store.commit([check(at, wrong)]), at)
        expectFailed(await store.commit([remove(at, wrong)]), at)
        expectFailed(await store.commit([put(at, 'new', wrong)]), at)
      }
      await apply(store, check(at, 'absent'))
      await apply(store, remove(at, 'absent'))
      expect(await store.get(at)).toBeUndefined()
    })

    it('lets an expired record be put as absent, then counting anew', async () => {
      const { store } = context
      const at = key(freshPartition(), 1)
      const old = await expired(at)
      const [version] = await apply(store, put(at, 'new'))
      expect(version).not.toBe(old)
      expect(await store.get(at)).toEqual({ key: at, version, value: 'new' })
      expectFailed(await store.commit([put(at, 'newer', 'absent')]), at)
    })

    it('is taken back by a put without it', async ({ skip }) => {
      const { store, advance } = context
      if (advance === undefined) return skip('this target cannot move its time')
      const at = key(freshPartition(), 1)
      await apply(store, put(at, 'brief', 'absent', store.now().ms + MINUTE))
      await apply(store, put(at, 'lasting', 'present'))
      await advance(2 * MINUTE)
      expect((await store.get(at))?.value).toBe('lasting')
    })

    it('goes unnoticed by deleteRange', async () => {
      const at = key(freshPartition(), 1)
      await expired(at)
      await context.store.deleteRange({ partition: at[0] })
      expect(await listAll(context.store, { partition: at[0] })).toEqual([])
    })
  })
}
