import { describe, expect, it } from 'vitest'
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
  type ConformanceOptions,
  type OpenTarget,
} from './context.ts'

export function commitSuite(open: OpenTarget, _options: ConformanceOptions): void {
  describe('commit', () => {
    const context = openForBlock(open)

    it('answers with a version for each put and none for delete and check', async () => {
      const partition = freshPartition()
      await fill(context.store, partition, ['a', 'b', 'c'])
      const versions = await apply(
        context.store,
        put(key(partition, 0), 'a2', 'present'),
        remove(key(partition, 1)),
        check(key(partition, 2), 'present'),
        put(key(partition, 3), 'd'),
      )
      expect(versions).toEqual([expect.any(String), undefined, undefined, expect.any(String)])
      const records = await listAll(context.store, { partition })
      expect(records.map(({ value }) => value)).toEqual(['a2', 'c', 'd'])
      expect([records[0]?.version, records[2]?.version]).toEqual([versions[0], versions[3]])
    })

    it('applies nothing at all when one expectation fails, wherever it stands', async () => {
      for (const place of [0, 1, 2, 3]) {
        const partition = freshPartition()
        await fill(context.store, partition, ['kept', 'kept'])
        const before = await listAll(context.store, { partition })
        const changes = [
          put(key(partition, 0), 'overwritten', 'present'),
          remove(key(partition, 1)),
          put(key(partition, 2), 'new'),
        ]
        const wrong = check(key(partition, 9), 'present')
        expectFailed(await context.store.commit(changes.toSpliced(place, 0, wrong)), wrong.key)
        expect(await listAll(context.store, { partition })).toEqual(before)
      }
    })

    it('reports every key whose expectation failed, or that it cannot tell', async () => {
      const partition = freshPartition()
      await fill(context.store, partition, ['a', 'b', 'c'])
      const result = await context.store.commit([
        put(key(partition, 0), 'x', 'absent'),
        check(key(partition, 1), 'present'),
        remove(key(partition, 2), { version: 'never given' }),
        put(key(partition, 3), 'x', 'present'),
      ])
      expectFailed(result, key(partition, 0), key(partition, 2), key(partition, 3))
    })

    it('spans partitions', async () => {
      const [p, q] = [freshPartition(), freshPartition()]
      await apply(context.store, put(key(p, 1), 1), put(key(q, 1), 2))
      expectFailed(
        await context.store.commit([put(key(p, 1), 3, 'present'), put(key(q, 1), 4, 'absent')]),
        key(q, 1),
      )
      expect(await valuesOf(context.store, { partition: p })).toEqual([1])
      expect(await valuesOf(context.store, { partition: q })).toEqual([2])
    })

    it('never gives a version twice to a key, not even after delete and put', async () => {
      const at = key(freshPartition(), 1)
      const seen = new Set<unknown>()
      for (let i = 0; i < 20; i++) {
        const [created] = await apply(context.store, put(at, 'same'))
        const [replaced] = await apply(context.store, put(at, 'same', 'present'))
        seen.add(created).add(replaced)
        await apply(context.store, remove(at))
      }
      expect(seen.size).toBe(40)
    })

    it('gives a new version to a put of an equal value, and none to a check', async () => {
      const at = key(freshPartition(), 1)
      const [first] = await apply(context.store, put(at, { same: true }))
      await apply(context.store, check(at, { version: first! }), put(key(at[0], 2), 1))
      expect((await context.store.get(at))?.version).toBe(first)
      const [second] = await apply(context.store, put(at, { same: true }, { version: first! }))
      expect(second).not.toBe(first)
      expectFailed(await context.store.commit([remove(at, { version: first! })]), at)
    })

    it('may consist of checks alone', async () => {
      const partition = freshPartition()
      await fill(context.store, partition, ['a'])
      expect(
        await apply(context.store, check(key(partition, 0), 'present'), check(key(partition, 1), 'absent')),
      ).toEqual([undefined, undefined])
    })

    it('is seen by each read that starts after its answer', async () => {
      const partition = freshPartition()
      for (let i = 0; i < 50; i++) {
        await apply(
          context.store,
          put(key(partition, i), i),
          ...(i > 0 ? [remove(key(partition, i - 1))] : []),
        )
        const [record, before, page] = await Promise.all([
          context.store.get(key(partition, i)),
          i > 0 ? context.store.get(key(partition, i - 1)) : undefined,
          context.store.list({ partition }, { limit: 10 }),
        ])
        expect([record?.value, before, page.records.map((r) => r.value)]).toEqual([i, undefined, [i]])
      }
    })
  })

  describe('deleteRange', () => {
    const context = openForBlock(open)

    it('deletes from its first key to before its last, in its partition only', async () => {
      const [p, q] = [freshPartition(), freshPartition()]
      await fill(context.store, p, [0, 1, 2, 3, 4])
      await fill(context.store, q, [0, 1, 2, 3, 4])
      await context.store.deleteRange({ partition: p, from: key(p, 1)[1], to: key(p, 3)[1] })
      expect(await valuesOf(context.store, { partition: p })).toEqual([0, 3, 4])
      await context.store.deleteRange({ partition: p, from: key(p, 4)[1] })
      expect(await valuesOf(context.store, { partition: p })).toEqual([0, 3])
      await context.store.deleteRange({ partition: p })
      expect(await valuesOf(context.store, { partition: p })).toEqual([])
      expect(await valuesOf(context.store, { partition: q })).toEqual([0, 1, 2, 3, 4])
    })

    it('deletes more than a page, may be repeated, and leaves keys that can be put again', async () => {
      const partition = freshPartition()
      await fill(
        context.store,
        partition,
        Array.from({ length: 1_234 }, (_, i) => i),
      )
      const old = await context.store.get(key(partition, 0))
      await context.store.deleteRange({ partition })
      await context.store.deleteRange({ partition })
      expect(await context.store.list({ partition }, { limit: 10 })).toEqual({ records: [] })
      const [version] = await apply(context.store, put(key(partition, 0), 'again'))
      expect(version).not.toBe(old?.version)
    })

    it('of nothing is fine, also with its ends crossed', async () => {
      const partition = freshPartition()
      await fill(context.store, partition, [0, 1, 2])
      await context.store.deleteRange({ partition, from: key(partition, 2)[1], to: key(partition, 1)[1] })
      await context.store.deleteRange({ partition: freshPartition() })
      expect(await valuesOf(context.store, { partition })).toEqual([0, 1, 2])
    })

    it('throws the reason of its signal', async () => {
      const partition = freshPartition()
      await fill(context.store, partition, [0])
      const reason = new Error('enough')
      const deleted = context.store.deleteRange({ partition }, { signal: AbortSignal.abort(reason) })
      await expect(deleted).rejects.toBe(reason)
      expect(await valuesOf(context.store, { partition })).toEqual([0])
    })
  })
}
