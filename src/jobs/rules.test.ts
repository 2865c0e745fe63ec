import { describe, expect, it } from 'vitest'
import { SignalboxError } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import { afterFailure, afterUnknown, failureOf, retryDelay } from './rules.ts'

const retry = { attempts: 5, minDelayMs: 1_000, maxDelayMs: 60_000 }
const random = seededRandom(1)
const always = (next: number): { next: () => number; id: () => string } => ({
  next: () => next,
  id: () => 'x',
})

describe('after a failure', () => {
  it('a job is tried again after an ever longer delay, drawn from above the least one', () => {
    for (let attempt = 1; attempt <= 60; attempt++) {
      const most = Math.min(60_000, 1_000 * 2 ** attempt)
      expect(retryDelay(retry, attempt, always(0))).toBe(1_000)
      expect(retryDelay(retry, attempt, always(0.999_999))).toBeCloseTo(most, -2)
    }
    expect(retryDelay({ ...retry, minDelayMs: 60_000 }, 3, random)).toBe(60_000)
    expect(retryDelay({ ...retry, minDelayMs: 0 }, 3, random)).toBe(0)
  })

  it('the last attempt is the last', () => {
    expect(afterFailure(retry, 4, { permanent: false }, random).verdict).toBe('retry')
    expect(afterFailure(retry, 5, { permanent: false }, random)).toEqual({
      verdict: 'dead_letter',
      reason: 'attempts_exhausted',
    })
  })

  it('an error may say that it makes no sense to try again, or when', () => {
    expect(afterFailure(retry, 1, failureOf({ retry: false }), random)).toEqual({
      verdict: 'dead_letter',
      reason: 'rejected',
    })
    const busy = new SignalboxError('throttled', 'busy', { details: { retryDelayMs: 7_000 } })
    expect(afterFailure(retry, 1, failureOf(busy), random)).toEqual({ verdict: 'retry', delayMs: 7_000 })
    expect(failureOf('a text')).toEqual({ permanent: false, retryDelayMs: undefined })
    expect(failureOf(undefined)).toEqual({ permanent: false, retryDelayMs: undefined })
  })
})

describe('an unknown job', () => {
  it('waits out its grace in ten receives or fewer, then is dead-lettered', () => {
    for (const jitter of [0, 0.5, 0.999]) {
      let now = 0
      let receiveCount = 1
      for (;;) {
        const what = afterUnknown({ sentAt: 0, receiveCount }, now, 600_000, always(jitter))
        if (what.verdict !== 'return') {
          expect(what).toEqual({ verdict: 'dead_letter', reason: 'unknown_job' })
          break
        }
        expect(what.delayMs).toBeGreaterThan(0)
        now += what.delayMs
        receiveCount += 1
      }
      expect(now).toBe(600_000)
      expect(receiveCount).toBeLessThanOrEqual(11) // the last is the one that ends it
    }
  })

  it('is looked at again when its grace is over, not later', () => {
    const what = afterUnknown({ sentAt: 0, receiveCount: 9 }, 599_999, 600_000, random)
    expect(what).toEqual({ verdict: 'return', delayMs: 1 })
  })

  it('of old is dead-lettered at once', () => {
    expect(afterUnknown({ sentAt: 0, receiveCount: 1 }, 600_000, 600_000, random).verdict).toBe('dead_letter')
  })
})
