import { describe, expect, it } from 'vitest'
import type { Change, Expect, Version } from '../../ports/store.ts'
import {
  apply,
  expectFailed,
  freshPartition,
  key,
  openForBlock,
  put,
  remove,
  type OpenTarget,
} from './context.ts'

const STATES = ['missing', 'there', 'deleted'] as const
const OPS = ['put', 'delete', 'check'] as const
const EXPECTS = ['absent', 'present', 'its version', 'its former version', 'the version of another'] as const

/** In which state which expectation holds: the whole truth table. */
const HOLDS: Record<(typeof EXPECTS)[number], readonly (typeof STATES)[number][]> = {
  absent: ['missing', 'deleted'],
  present: ['there'],
  'its version': ['there'],
  'its former version': [],
  'the version of another': [],
}

const CASES = STATES.flatMap((state) =>
  OPS.flatMap((op) => EXPECTS.map((wanted) => ({ state, op, wanted, ok: HOLDS[wanted].includes(state) }))),
)

export function expectationSuite(open: OpenTarget): void {
  describe('an expectation', () => {
    const context = openForBlock(open)

    it.each(CASES)(
      'of $wanted lets $op at a record that is $state: $ok',
      async ({ state, op, wanted, ok }) => {
        const { store } = context
        const partition = freshPartition()
        const at = key(partition, 1)
        const [other] = await apply(store, put(key(partition, 2), 'other'))
        const [former] = state === 'missing' ? [] : await apply(store, put(at, 'former'))
        const [version] = state === 'missing' ? [] : await apply(store, put(at, 'old', 'present'))
        if (state === 'deleted') await apply(store, remove(at))
        const versions: Record<string, Version | undefined> = {
          'its version': version,
          'its former version': former,
          'the version of another': other,
        }
        const expected: Expect =
          wanted === 'absent' || wanted === 'present'
            ? wanted
            : { version: versions[wanted] ?? 'no such version' }
        const change: Change =
          op === 'put' ? { key: at, expect: expected, op, value: 'new' } : { key: at, expect: expected, op }

        const result = await store.commit([change])

        if (ok)
          expect(result).toEqual({ ok: true, versions: [op === 'put' ? expect.any(String) : undefined] })
        else expectFailed(result, at)
        const unchanged = state === 'there' ? 'old' : undefined
        const changed = { put: 'new', delete: undefined, check: unchanged }[op]
        expect((await store.get(at))?.value).toBe(ok ? changed : unchanged)
        expect((await store.get(key(partition, 2)))?.version).toBe(other)
      },
    )
  })
}
