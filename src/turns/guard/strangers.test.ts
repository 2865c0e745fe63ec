import { describe, expect, it } from 'vitest'
import { decimalKey, type StoredRecord } from '../../ports/store.ts'
import { Strangers } from './strangers.ts'

const entry = (version: string, lastUpdated = 0, timestamp = 1_000): StoredRecord => ({
  key: ['deploy', decimalKey(timestamp)],
  version,
  value: { clientId: 'c', lastUpdated },
})

describe('the entries of the other tool', () => {
  it('are alive at first sight, however old they say they are', () => {
    const strangers = new Strangers()
    strangers.saw([entry('a')], 0, 0)
    expect([strangers.anyAlive, strangers.dead]).toEqual([true, []])
  })

  it('are dead when they did not change between two looks 130 s apart', () => {
    const strangers = new Strangers()
    strangers.saw([entry('a')], 0, 10)
    strangers.saw([entry('a')], 130_009, 130_009)
    expect(strangers.anyAlive).toBe(true)
    strangers.saw([entry('a')], 130_010, 130_010)
    expect([strangers.anyAlive, strangers.dead]).toEqual([false, [[decimalKey(1_000), 'a']]])
  })

  it('are not taken for dead because the answer to the last look came late', () => {
    const strangers = new Strangers()
    strangers.saw([entry('a')], 0, 0)
    strangers.saw([entry('a')], 5_000, 400_000)
    expect(strangers.anyAlive).toBe(true)
  })

  it('live anew with each change, also after they were dead', () => {
    const strangers = new Strangers()
    strangers.saw([entry('a')], 0, 0)
    strangers.saw([entry('a')], 200_000, 200_000)
    strangers.saw([entry('b')], 200_001, 200_001)
    expect([strangers.anyAlive, strangers.dead]).toEqual([true, []])
  })

  it('leave a quiet time behind when they go alive, and none when they were dead', () => {
    const strangers = new Strangers()
    strangers.saw([entry('a')], 0, 0)
    expect(strangers.quietFrom).toBe(-Infinity)
    strangers.saw([entry('a')], 200_000, 200_000)
    strangers.saw([], 200_001, 200_001)
    expect(strangers.quietFrom).toBe(-Infinity)
    strangers.saw([entry('b')], 300_000, 300_000)
    strangers.saw([], 305_000, 305_100)
    expect(strangers.quietFrom).toBe(330_100)
  })

  it('seem to wait when they were seen to beat, or say that they did lately', () => {
    const now = 10_000_000
    const waiting = (...looks: StoredRecord[]): boolean => {
      const strangers = new Strangers()
      for (const [i, record] of looks.entries()) strangers.saw([record], i, i)
      return strangers.anyWaiting(now)
    }
    expect(waiting(entry('a', now / 1_000 - 170))).toBe(true)
    expect(waiting(entry('a', now / 1_000 - 190))).toBe(false)
    expect(waiting(entry('a', now / 1_000 + 600))).toBe(true)
    expect(waiting(entry('a', 0), entry('b', 1))).toBe(true)
  })
})
