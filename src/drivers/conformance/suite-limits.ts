import { describe, expect, it } from 'vitest'
import { portableLimits, type Change, type Json } from '../../ports/store.ts'
import { apply, freshPartition, key, listAll, openForBlock, put, type OpenTarget } from './context.ts'

/** A string whose JSON has exactly this many bytes, half of them in two-byte characters. */
function ofSize(bytes: number): string {
  const wide = Math.floor((bytes - 2) / 4)
  return 'é'.repeat(wide) + 'x'.repeat(bytes - 2 - 2 * wide)
}

export function limitSuite(open: OpenTarget): void {
  describe('limits', () => {
    const context = openForBlock(open)
    const refused = async (changes: readonly Change[]): Promise<void> => {
      await expect(context.store.commit(changes)).rejects.toMatchObject({ code: 'invalid_argument' })
      for (const partition of new Set(changes.map((change) => change.key[0]))) {
        expect(await listAll(context.store, { partition })).toEqual([])
      }
    }
    const puts = (partition: string, values: readonly Json[]): Change[] =>
      values.map((value, i) => put(key(partition, i), value))

    it('are at least the portable ones', () => {
      const { limits } = context.store
      expect(limits.changes).toBeGreaterThanOrEqual(portableLimits.changes)
      expect(limits.commitBytes).toBeGreaterThanOrEqual(portableLimits.commitBytes)
      expect(limits.valueBytes).toBeGreaterThanOrEqual(portableLimits.valueBytes)
    })

    it('let a commit have so many changes and not one more', async () => {
      const { changes } = context.store.limits
      const values = Array.from({ length: changes }, (_, i) => i)
      const partition = freshPartition()
      await apply(context.store, ...puts(partition, values))
      expect(await listAll(context.store, { partition })).toHaveLength(changes)
      await refused(puts(freshPartition(), [...values, 'one more']))
    })

    it('let a value have so many bytes and not one more', async () => {
      const { valueBytes } = context.store.limits
      const at = key(freshPartition(), 1)
      await apply(context.store, put(at, ofSize(valueBytes)))
      expect((await context.store.get(at))?.value).toBe(ofSize(valueBytes))
      await refused(puts(freshPartition(), ['small', ofSize(valueBytes + 1)]))
    })

    it('let the values of a commit have so many bytes and not one more', async () => {
      const { commitBytes, valueBytes } = context.store.limits
      const full = Math.floor((commitBytes - 4) / valueBytes)
      const values = [...Array.from({ length: full }, () => ofSize(valueBytes)), '']
      values[full] = ofSize(commitBytes - full * valueBytes)
      const partition = freshPartition()
      await apply(context.store, ...puts(partition, values))
      expect(await listAll(context.store, { partition })).toHaveLength(full + 1)
      await refused(puts(freshPartition(), values.with(full, ofSize(commitBytes - full * valueBytes + 1))))
    })

    it('let a commit change a key once and never be empty', async () => {
      const partition = freshPartition()
      await expect(context.store.commit([])).rejects.toMatchObject({ code: 'invalid_argument' })
      await refused([put(key(partition, 1), 1), { key: key(partition, 1), expect: 'absent', op: 'check' }])
      const many = puts(
        partition,
        Array.from({ length: 50 }, (_, i) => i),
      )
      await refused([...many, put(key(partition, 25), 'again')])
    })

    it.each([undefined, Number.NaN, Infinity, () => 1, 1n, Symbol('s'), new Date(0), { a: [undefined] }])(
      'refuse %s, which is not plain JSON',
      async (value) => {
        const partition = freshPartition()
        await refused([put(key(partition, 1), 1), put(key(partition, 2), value as Json)])
      },
    )

    it('refuse keys that no store could take', async () => {
      const { store } = context
      const good = key('p', 1)[1]
      for (const at of [
        ['', good],
        ['p', ''],
        ['é', good],
        ['p', 'ü'],
        ['p', 'a\nb'],
        ['x'.repeat(201), good],
      ]) {
        const refusal = { code: 'invalid_argument' }
        await expect(store.get(at as [string, string])).rejects.toMatchObject(refusal)
        await expect(store.commit([put(at as [string, string], 1)])).rejects.toMatchObject(refusal)
      }
      await expect(store.list({ partition: '' }, { limit: 1 })).rejects.toMatchObject({
        code: 'invalid_argument',
      })
      await expect(store.deleteRange({ partition: 'ü' })).rejects.toMatchObject({ code: 'invalid_argument' })
      if (store.limits.keys === 'decimal') {
        await expect(store.get(['p', 'x'])).rejects.toMatchObject({ code: 'invalid_argument' })
      }
    })

    it.each([0, -1, 1.5, 1_001, Number.NaN])('refuse a list of %s records', async (limit) => {
      await expect(context.store.list({ partition: 'p' }, { limit })).rejects.toMatchObject({
        code: 'invalid_argument',
      })
    })

    it('leave a list of 1 and of 1000 records alone', async () => {
      const partition = freshPartition()
      for (const limit of [1, 1_000]) {
        expect(await context.store.list({ partition }, { limit })).toEqual({ records: [] })
      }
    })
  })
}
