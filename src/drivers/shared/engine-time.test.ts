import { describe, expect, it } from 'vitest'
import { EngineTime } from './engine-time.ts'

describe('engine time', () => {
  it('is unknown before the first answer', () => {
    expect(new EngineTime().at(0)).toBeUndefined()
    expect(new EngineTime().age(0)).toBe(Infinity)
  })

  it('lies in the middle of the round trip, and goes on', () => {
    const time = new EngineTime()
    time.learn(100, 140, 5_000, 1)
    expect(time.at(140)).toEqual({ ms: 5_020, uncertaintyMs: 22 })
    expect(time.at(240)?.ms).toBe(5_120)
    expect(time.at(10_140)?.uncertaintyMs).toBeCloseTo(23)
  })

  it('is as uncertain as the resolution of what it is told', () => {
    const time = new EngineTime(500)
    time.learn(100, 140, 5_500, 0)
    expect(time.at(140)).toEqual({ ms: 5_520, uncertaintyMs: 520 })
  })

  it('keeps the tighter of two samples that agree', () => {
    const time = new EngineTime()
    time.learn(0, 2, 1_000, 0)
    time.learn(10, 60, 1_030, 0)
    expect(time.at(60)?.ms).toBe(1_059)
    time.learn(70, 70, 1_069, 0)
    expect(time.at(70)).toEqual({ ms: 1_069, uncertaintyMs: 1 })
  })

  it('takes whole seconds together: where they turn, time is known well', () => {
    const time = new EngineTime(50)
    const tell = (trueMs: number): void => {
      time.learn(trueMs, trueMs, Math.floor(trueMs / 1_000) * 1_000 + 500, 500)
    }
    tell(5_000)
    expect(time.at(5_000)).toEqual({ ms: 5_500, uncertaintyMs: 550 })
    tell(5_990)
    const { ms, uncertaintyMs } = time.at(5_990) ?? { ms: 0, uncertaintyMs: 0 }
    expect(uncertaintyMs).toBeLessThan(70)
    expect(Math.abs(ms - 5_990)).toBeLessThan(uncertaintyMs)
  })

  it('believes a newer sample that contradicts: the clock has jumped', () => {
    const time = new EngineTime()
    time.learn(0, 2, 1_000, 0)
    time.learn(10, 60, 90_000, 0)
    expect(time.at(60)).toEqual({ ms: 90_025, uncertaintyMs: 26 })
  })
})
