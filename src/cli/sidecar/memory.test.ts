import { memoryUsage } from 'node:process'
import { expect, it } from 'vitest'
import { collectGarbage } from './memory.ts'

it('garbage is gone when it has been collected', () => {
  let garbage: number[][] | undefined = Array.from({ length: 2_000 }, (_, i) =>
    Array.from({ length: 1_000 }, () => i / 7),
  )
  expect(garbage).toHaveLength(2_000)
  const before = memoryUsage().heapUsed
  garbage = undefined
  collectGarbage()
  expect(before - memoryUsage().heapUsed).toBeGreaterThan(8_000_000)
})
