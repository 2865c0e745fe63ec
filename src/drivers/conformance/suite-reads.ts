import { describe, expect, it } from 'vitest'
import { decimalKey, PAGE_BYTES, type Json } from '../../ports/store.ts'
import {
  apply,
  fill,
  freshPartition,
  key,
  listAll,
  openForBlock,
  put,
  valuesOf,
  type ConformanceOptions,
  type OpenTarget,
} from './context.ts'

const NUMBERS = [0, 1, -1, 0.1, -1.5, 2 ** 53 - 1, -(2 ** 53 - 1), 1e21, 1.7976931348623157e308, 5e-324]
const STRINGS = [
  '',
  ' ',
  'naïve – 日本語 – 🚂',
  '"\\/\b\f\n\r\t',
  '\0\u2028\u2029\x7f',
  '\ud800',
  'null',
  '7',
]
const DEEP = Array.from({ length: 40 }).reduce<Json>((inner, _, i) => (i % 2 ? [inner] : { inner }), 1)
const VALUES: readonly Json[] = [
  null,
  true,
  false,
  ...NUMBERS,
  ...STRINGS,
  [],
  {},
  [[], {}, [null]],
  { '': 1, 'a.b': 2, $c: 3, 'd e': 4, ['__proto__x']: 5, constructor: 6, length: 7 },
  JSON.parse('{"__proto__": {"a": 1}}') as Json,
  DEEP,
  Array.from({ length: 500 }, (_, i) => ({ i, on: i % 2 === 0 })),
]

export function readSuite(open: OpenTarget, options: ConformanceOptions): void {
  describe('get', () => {
    const context = openForBlock(open)

    it('finds nothing where nothing was put', async () => {
      expect(await context.store.get(key(freshPartition(), 1))).toBeUndefined()
    })

    it('gives key, version and value of a record', async () => {
      const at = key(freshPartition(), 1)
      const [version] = await apply(context.store, put(at, { a: 1 }))
      expect(version).toEqual(expect.any(String))
      expect(await context.store.get(at)).toEqual({ key: at, version, value: { a: 1 } })
    })

    it.each(VALUES.map((value, i) => [i, value] as const))(
      'gives value %i back exactly',
      async (_, value) => {
        const at = key(freshPartition(), 1)
        await apply(context.store, put(at, value))
        const read = await context.store.get(at)
        expect(read?.value).toStrictEqual(value)
        expect(JSON.stringify(read?.value).length).toBe(JSON.stringify(value).length)
        expect(await valuesOf(context.store, { partition: at[0] })).toStrictEqual([value])
      },
    )

    it('gives every caller a value of its own', async () => {
      const at = key(freshPartition(), 1)
      const given = { list: [1] }
      const committed = apply(context.store, put(at, given))
      given.list.push(2)
      await committed
      const first = await context.store.get(at)
      ;(first!.value as { list: number[] }).list.push(3)
      expect((await context.store.get(at))?.value).toEqual({ list: [1] })
    })
  })

  describe('list', () => {
    const context = openForBlock(open)
    const range = (partition: string, from?: number, to?: number) => ({
      partition,
      ...(from === undefined ? {} : { from: decimalKey(from) }),
      ...(to === undefined ? {} : { to: decimalKey(to) }),
    })

    it('of an empty partition is empty, with nothing to follow', async () => {
      expect(await context.store.list(range(freshPartition()), { limit: 10 })).toEqual({ records: [] })
    })

    it('gives whole records in key order, whatever the order they came in', async () => {
      const partition = freshPartition()
      const numbers = [10, 9, 100, 1, 0, 99, 999_999_999_999_999]
      const versions = await apply(context.store, ...numbers.map((n) => put(key(partition, n), { n })))
      const expected = numbers.map((n, i) => ({ key: key(partition, n), version: versions[i], value: { n } }))
      expected.sort((a, b) => a.value.n - b.value.n)
      expect(await listAll(context.store, { partition })).toEqual(expected)
      expect(await listAll(context.store, { partition }, { limit: 10, reverse: true })).toEqual(
        expected.reverse(),
      )
    })

    it('takes a range from its first key on and ends before its last', async () => {
      const partition = freshPartition()
      await fill(context.store, partition, [0, 1, 2, 3, 4, 5])
      const values = (from?: number, to?: number, reverse = false) =>
        valuesOf(context.store, range(partition, from, to), { limit: 100, reverse })
      expect(await values(2, 4)).toEqual([2, 3])
      expect(await values(2, 4, true)).toEqual([3, 2])
      expect(await values(4)).toEqual([4, 5])
      expect(await values(undefined, 2)).toEqual([0, 1])
      expect(await values(undefined, 2, true)).toEqual([1, 0])
      expect(await values(3, 3)).toEqual([])
      expect(await values(4, 2)).toEqual([])
      expect(await values(6, 9)).toEqual([])
    })

    it.each([1, 2, 3, 7, 1_000])('pages by %i in both directions, each record once', async (limit) => {
      const partition = freshPartition()
      const all = Array.from({ length: 14 }, (_, i) => i)
      await fill(context.store, partition, all)
      const wanted = all.filter((n) => n >= 1 && n < 13)
      expect(await valuesOf(context.store, range(partition, 1, 13), { limit })).toEqual(wanted)
      expect(await valuesOf(context.store, range(partition, 1, 13), { limit, reverse: true })).toEqual(
        wanted.reverse(),
      )
    })

    it('continues after a key that is not there, or is outside the range', async () => {
      const partition = freshPartition()
      await fill(context.store, partition, [0, 1, 2, 3, 4, 5])
      await apply(context.store, { key: key(partition, 3), expect: 'present', op: 'delete' })
      const after = (n: number, reverse = false) =>
        valuesOf(context.store, range(partition, 2, 5), { limit: 2, reverse, after: decimalKey(n) })
      expect(await after(3)).toEqual([4])
      expect(await after(3, true)).toEqual([2])
      expect(await after(0)).toEqual([2, 4])
      expect(await after(9, true)).toEqual([4, 2])
      expect(await after(9)).toEqual([])
      expect(await after(0, true)).toEqual([])
    })

    it('ends large pages early and reaches everything by following them', async () => {
      const partition = freshPartition()
      const value = 'x'.repeat(250_000)
      const count = Math.ceil((PAGE_BYTES * 1.5) / value.length)
      for (let i = 0; i < count; i += 5) {
        const some = Array.from({ length: Math.min(5, count - i) }, (_, j) =>
          put(key(partition, i + j), value),
        )
        await apply(context.store, ...some)
      }
      const first = await context.store.list({ partition }, { limit: 1_000 })
      expect(first.next).toBeDefined()
      expect(first.records.length).toBeLessThan(count)
      expect((await listAll(context.store, { partition })).map((r) => r.key)).toEqual(
        Array.from({ length: count }, (_, i) => key(partition, i)),
      )
    })

    it('sees one partition only, however alike their names', async () => {
      const base = freshPartition()
      const names = [
        '',
        '/',
        '/a',
        ':',
        ':a',
        ' ',
        ' a',
        '%',
        '%2Fa',
        '.',
        '#',
        '~',
        '0',
        '00',
        'A',
        'a',
        "'",
        '"',
      ]
      for (const name of names) await apply(context.store, put(key(base + name, 1), name))
      for (const name of names) {
        expect(await valuesOf(context.store, { partition: base + name })).toEqual([name])
        expect((await context.store.get(key(base + name, 1)))?.value).toBe(name)
      }
    })
  })

  describe.runIf(options.keys !== 'decimal')('ascii only', () => {
    const context = openForBlock(open)

    it('orders keys by byte', async () => {
      const partition = freshPartition()
      const keys = [
        '~',
        'z',
        'a',
        'aa',
        'a ',
        'Z',
        'A',
        '_',
        '10',
        '9',
        '1',
        '/',
        ' ',
        '!',
        'a/b',
        'a.b',
        '%',
        '[',
      ]
      await apply(context.store, ...keys.map((k) => put([partition, k], k)))
      const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      expect(await valuesOf(context.store, { partition })).toEqual(sorted)
      expect(await valuesOf(context.store, { partition, from: 'a', to: 'b' }, { limit: 2 })).toEqual(
        sorted.filter((k) => k >= 'a' && k < 'b'),
      )
    })

    it('does not mix up where the partition ends and the key begins', async () => {
      const base = freshPartition()
      for (const separator of ['/', ':', '#', ' ', '|', '%', '.']) {
        const left = [`${base}${separator}a`, 'b'] as const
        const right = [base, `a${separator}b`] as const
        await apply(context.store, put(left, 'left'), put(right, 'right'))
        expect((await context.store.get(left))?.value).toBe('left')
        expect((await context.store.get(right))?.value).toBe('right')
      }
    })

    it('takes keys and partitions of 200 characters, and every printable one', async () => {
      const printable = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('')
      const partition = freshPartition().padEnd(200, 'p')
      for (const name of [printable, 'k'.repeat(200)]) {
        await apply(context.store, put([partition, name], name))
        expect((await context.store.get([partition, name]))?.key).toEqual([partition, name])
      }
      const odd = freshPartition() + printable
      await apply(context.store, put([odd, 'k'], 1))
      expect(await valuesOf(context.store, { partition: odd })).toEqual([1])
    })
  })
}
