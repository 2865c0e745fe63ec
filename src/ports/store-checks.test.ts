import { describe, expect, it } from 'vitest'
import { isSignalboxError } from '../kernel/error.ts'
import { checkCommit, checkKey, checkListOptions, checkRange } from './store-checks.ts'
import { decimalKey, portableLimits, type Change, type Json, type Key } from './store.ts'

function refusal(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    if (isSignalboxError(error, 'invalid_argument')) return error.message
    throw error
  }
  throw new Error('not refused')
}

const put = (value: unknown, key: Key = ['p', 'k']): Change => ({
  key,
  expect: 'absent',
  op: 'put',
  value: value as Json,
})
const commit = (...changes: unknown[]): unknown => checkCommit(changes as Change[], portableLimits)

describe('a key', () => {
  it('may be any printable ASCII of 1 to 200 characters', () => {
    checkKey([' /:%~', 'x'.repeat(200)], 'ascii')
  })

  it.each([
    [['', 'k']],
    [['p', '']],
    [['p', 'x'.repeat(201)]],
    [['p', 'é']],
    [['p', 'a\n']],
    [['p', 'a\0b']],
    [['p', '\x7f']],
    [['p']],
    [['p', 1]],
    ['pk'],
    [undefined],
  ])('is refused as %j in one line', (key) => {
    expect(refusal(() => checkKey(key as unknown as Key, 'ascii'))).not.toContain('\n')
  })

  it('has exactly 15 digits in a decimal store', () => {
    checkKey(['any partition', decimalKey(7)], 'decimal')
    expect(refusal(() => checkKey(['p', '7'], 'decimal'))).toContain('15 digits')
    expect(refusal(() => checkRange({ partition: 'p', to: 'x' }, 'decimal'))).toContain('range to')
  })
})

describe('a list', () => {
  it.each([0, -1, 1.5, 1_001, Number.NaN, '5', undefined])('with limit %s is refused', (limit) => {
    expect(refusal(() => checkListOptions({ limit: limit as number }, 'ascii'))).toContain('1 to 1000')
  })

  it('with limit 1 or 1000 is fine', () => {
    checkListOptions({ limit: 1 }, 'ascii')
    checkListOptions({ limit: 1_000, after: 'k', reverse: true }, 'ascii')
  })
})

describe('a commit', () => {
  it('gives the values as JSON text', () => {
    expect(commit(put({ a: ['é', null] }), { key: ['p', 'b'], expect: 'present', op: 'delete' })).toEqual([
      '{"a":["é",null]}',
      undefined,
    ])
  })

  it.each([
    ['undefined', undefined, 'value is undefined'],
    ['a hole', { a: Object.assign([1], { length: 2 }) }, 'value.a[1] is undefined'],
    ['NaN', { a: { b: Number.NaN } }, 'value.a.b is NaN'],
    ['infinity', [Infinity], 'value[0] is Infinity'],
    ['a function', { f: () => 1 }, 'value.f is a function'],
    ['a bigint', 1n, 'value is a bigint'],
    ['a date', { d: new Date(0) }, 'value.d is a Date'],
    ['a map', new Map(), 'value is a Map'],
  ])('refuses %s and says where', (_, value, message) => {
    expect(refusal(() => commit(put(value)))).toContain(message)
  })

  it('refuses a value that contains itself', () => {
    const loop: { self?: unknown } = {}
    loop.self = loop
    expect(refusal(() => commit(put(loop)))).toContain('contains itself')
  })

  it('refuses one that is empty, repeats a key, or has no known op or expectation', () => {
    expect(refusal(() => commit())).toContain('at least one')
    expect(refusal(() => commit(put(1), put(2)))).toContain('only once')
    const many = Array.from({ length: 20 }, (_, i) => put(i, ['p', `k${i % 19}`]))
    expect(refusal(() => commit(...many))).toContain("'k0'")
    expect(refusal(() => commit({ ...put(1), op: 'patch' }))).toContain('op must be')
    expect(refusal(() => commit({ ...put(1), expect: undefined }))).toContain('expect must be')
    expect(refusal(() => commit({ ...put(1), expiresAt: Number.NaN }))).toContain('expiresAt')
    expect(refusal(() => commit(null))).toContain('a change is')
  })

  it('does not take a partition and key that only look alike when joined for a repeat', () => {
    const changes = ['a b', 'a', 'c', 'd', 'e', 'f', 'g'].map((p, i) => put(i, [p, i === 1 ? 'b k' : 'k']))
    commit(...changes)
  })

  it('counts sizes in UTF-8 bytes', () => {
    const limits = { ...portableLimits, valueBytes: 6, commitBytes: 10 }
    checkCommit([put('éé')], limits)
    expect(refusal(() => checkCommit([put('ééé')], limits))).toContain('6 bytes')
    expect(refusal(() => checkCommit([put('éé'), put('éé', ['p', 'b'])], limits))).toContain('together')
  })
})
