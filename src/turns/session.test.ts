import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { openTurn, type Deadline, type OpenTurnOptions, type Turn, type TurnProgress } from './session.ts'
import { member, ScriptedTurns } from './testing/scripted-turns.ts'

let clock: ManualClock
let api: ScriptedTurns
let progress: TurnProgress[]

beforeEach(() => {
  clock = new ManualClock()
  api = new ScriptedTurns(clock)
  progress = []
})

const holding = (facts: object = {}) => member({ state: 'holding', fence: 7, position: 0, ...facts })

function open(options: Partial<OpenTurnOptions> = {}): Promise<Turn> {
  return openTurn({
    api,
    clock,
    random: seededRandom(1),
    queue: 'deploy',
    onProgress: (event) => progress.push(event),
    ...options,
  })
}

/** Starts a call and, once time has moved, tells how it ended. */
function watch<T>(promise: Promise<T>): { value: T | undefined; error: SignalboxError | undefined } {
  const seen: { value: T | undefined; error: SignalboxError | undefined } = {
    value: undefined,
    error: undefined,
  }
  promise.then(
    (value) => (seen.value = value),
    (error: unknown) => (seen.error = error as SignalboxError),
  )
  return seen
}

const reason = (signal: AbortSignal): SignalboxError => signal.reason as SignalboxError
const kinds = (): string[] => progress.map(({ type }) => type)

describe('joining', () => {
  test('a free turn is held at once, under a fresh random id', async () => {
    const turn = await open({ permits: 2, priority: 75, labels: { job: 'build' } })
    expect(turn).toMatchObject({ queue: 'deploy', ticket: 12, fence: 7, waitedMs: 0, positionAtJoin: 0 })
    expect(api.calls).toMatchObject([
      {
        op: 'join',
        id: turn.id,
        request: { ttlMs: 45_000, permits: 2, priority: 75, labels: { job: 'build' } },
      },
    ])
    const other = await open({ random: seededRandom(2) })
    expect(other.id).not.toBe(turn.id)
  })

  test.each([
    [{ ttlMs: 10_000 }, 16_667],
    [{ ttlMs: 16_600 }, 16_667],
    [{ ttlMs: 45_000, stopGraceMs: 10_000 }, 50_000],
    [{ ttlMs: 45_000, stopGraceMs: 60_000 }, 112_500],
    [{ ttlMs: 1_200, stopGraceMs: 500 }, 1_667],
  ])('a TTL that cannot work is refused with the least that can: %o', async (options, minimumMs) => {
    const refused = watch(open(options))
    await clock.settle()
    expect(refused.error).toMatchObject({
      code: 'invalid_argument',
      details: { field: 'ttlMs', minimumMs },
    })
    expect(api.calls).toEqual([])
    api.on('join', api.answer(holding({ ttlMs: minimumMs })))
    const turn = await open({ ...options, ttlMs: minimumMs })
    await turn.release()
  })

  test('the refusal names both numbers and a round TTL that works', async () => {
    await expect(open({ ttlMs: 16_600 })).rejects.toThrow(
      'ttl: 16.6s is too short with a stop grace of 5s; use at least 17s',
    )
    await expect(open({ ttlMs: 1_200, stopGraceMs: 500 })).rejects.toThrow('use at least 1.7s')
  })

  test('a lost answer is asked for again with the same id', async () => {
    api.on(
      'join',
      api.fail('outcome_unknown'),
      api.fail('throttled'),
      api.fail('unavailable'),
      api.answer(holding()),
    )
    const opened = watch(open())
    await clock.advance(10_000)
    expect(opened.value?.fence).toBe(7)
    expect(api.calls.map(({ op }) => op)).toEqual(['join', 'join', 'join', 'join'])
    expect(new Set(api.calls.map(({ id }) => id)).size).toBe(1)
    expect(kinds()).toEqual(['unreachable', 'unreachable', 'unreachable', 'reachable'])
  })

  test('a join that hangs is given up after ten seconds and repeated', async () => {
    api.on('join', api.hang(), api.answer(holding()))
    const opened = watch(open())
    await clock.advance(9_999)
    expect(api.calls).toHaveLength(1)
    await clock.advance(200)
    expect(opened.value?.deadline()).toBe(api.times('join')[1]! + 36_000)
  })

  test('nobody there for five seconds: unavailable, and nothing to leave', async () => {
    api.on('join', api.fail('unavailable'))
    const opened = watch(open())
    await clock.advance(4_999)
    expect(opened.error).toBeUndefined()
    await clock.advance(2_001)
    expect(opened.error?.code).toBe('unavailable')
    expect(api.times('leave')).toEqual([])
    expect(clock.pendingTimers).toBe(0)
  })

  test('once a join may have arrived, being unreachable is waited out', async () => {
    api.on('join', api.fail('outcome_unknown'), api.fail('unavailable'))
    const opened = watch(open())
    await clock.advance(60_000)
    expect(opened.error).toBeUndefined()
    api.on('join', api.answer(holding()))
    await clock.advance(2_000)
    expect(opened.value?.fence).toBe(7)
  })

  test.each(['conflict', 'queue_paused', 'invalid_argument', 'unauthenticated'] as const)(
    'a refusal (%s) is passed on, and there is nothing to leave',
    async (code) => {
      api.on('join', api.fail(code))
      await expect(open()).rejects.toMatchObject({ code })
      expect(api.calls).toHaveLength(1)
      expect(clock.pendingTimers).toBe(0)
    },
  )

  test('after an answer that means nothing, the queue is left', async () => {
    api.on('join', api.fail('internal'))
    await expect(open()).rejects.toMatchObject({ code: 'internal' })
    expect(api.calls.map(({ op }) => op)).toEqual(['join', 'leave'])
  })

  test('a grant without a fence is not a hold', async () => {
    api.on('join', api.answer(holding({ fence: undefined })))
    await expect(open()).rejects.toMatchObject({ code: 'internal' })
    expect(api.times('leave')).toHaveLength(1)
  })

  test('a server that keeps a shorter TTL than asked for decides', async () => {
    api.on('join', api.answer(holding({ ttlMs: 30_000 })))
    const turn = await open()
    expect(turn.deadline()).toBe(24_000)
  })
})

describe('waiting', () => {
  beforeEach(() => api.on('join', api.answer(member())))

  test('asks with what it has seen, at least as often as the server wants, until the turn comes', async () => {
    api.on(
      'wait',
      api.answer(member({ position: 1, pollMs: 1_000 }), 5_000),
      api.answer(member({ position: 1, pollMs: 1_000 }), 1_000),
      api.answer(holding({ elapsedMs: 400 }), 400),
    )
    const opened = watch(open())
    await clock.advance(6_400)
    expect(opened.value).toMatchObject({ fence: 7, waitedMs: 6_400, positionAtJoin: 2 })
    expect(api.calls.slice(1).map(({ request }) => request)).toEqual([
      { waitMs: 5_000, seenPosition: 2 },
      { waitMs: 1_000, seenPosition: 1 },
      { waitMs: 1_000, seenPosition: 1 },
    ])
    expect(progress.map((event) => event.type === 'waiting' && event.view.position)).toEqual([2, 1, 1])
    expect(opened.value?.deadline()).toBe(6_000 + 400 + 36_000)
  })

  test('a server that cannot be reached is tried again for as long as it takes, with notices', async () => {
    api.on('wait', api.fail('unavailable'))
    const opened = watch(open())
    await clock.advance(3_600_000)
    expect(opened.error).toBeUndefined()
    const calls = api.times('wait').length
    expect(calls).toBeGreaterThan(1_800)
    expect(calls).toBeLessThan(10_000)
    const last = progress.at(-1)
    expect(last?.type === 'unreachable' && last.forMs).toBeGreaterThan(3_590_000)
    api.on('wait', api.answer(holding()))
    await clock.advance(2_000)
    expect(opened.value?.fence).toBe(7)
    expect(progress.at(-1)?.type).toBe('reachable')
  })

  test('a long poll that hangs is given up ten seconds after its time', async () => {
    api.on('wait', api.hang(), api.answer(holding()))
    const opened = watch(open())
    await clock.advance(14_999)
    expect(api.times('wait')).toHaveLength(1)
    await clock.advance(200)
    expect(opened.value?.fence).toBe(7)
  })

  test('a server that does not wait is not asked in a tight loop', async () => {
    api.on('wait', api.answer(member()))
    const caller = new AbortController()
    const opened = watch(open({ signal: caller.signal }))
    await clock.advance(10_000)
    expect(api.times('wait').length).toBeLessThan(60)
    caller.abort()
    await clock.settle()
    expect(opened.error?.code).toBe('cancelled')
  })

  test('the wait time-out leaves the queue', async () => {
    const opened = watch(open({ waitTimeoutMs: 30_000 }))
    await clock.advance(29_999)
    expect(opened.error).toBeUndefined()
    await clock.advance(1)
    expect(opened.error?.code).toBe('wait_timeout')
    expect(opened.error?.message).toContain('30s')
    expect(api.calls.at(-1)).toMatchObject({ op: 'leave', id: api.calls[0]!.id, fence: undefined })
    expect(clock.pendingTimers).toBe(0)
  })

  test('a wait time-out of zero takes the turn only if it is free', async () => {
    const opened = watch(open({ waitTimeoutMs: 0 }))
    await clock.settle()
    expect(opened.error?.code).toBe('wait_timeout')
    expect(api.calls.map(({ op }) => op)).toEqual(['join', 'leave'])
    api.on('join', api.answer(holding(), 800))
    const free = watch(open({ waitTimeoutMs: 0 }))
    await clock.advance(800)
    expect(free.value?.fence).toBe(7)
  })

  test('a wait time-out also ends a join that is never answered', async () => {
    api.on('join', api.hang())
    const opened = watch(open({ waitTimeoutMs: 1_000 }))
    await clock.advance(5_000)
    expect(opened.error?.code).toBe('wait_timeout')
    expect(api.times('leave')).toHaveLength(1)
  })

  test('the caller’s signal leaves at once', async () => {
    const caller = new AbortController()
    const opened = watch(open({ signal: caller.signal }))
    await clock.advance(100)
    caller.abort(new Error('Ctrl-C'))
    await clock.settle()
    expect(opened.error?.code).toBe('cancelled')
    expect(api.calls.at(-1)?.op).toBe('leave')
    expect(clock.pendingTimers).toBe(0)
  })

  test('a signal while the join is on its way leaves too: it may have arrived', async () => {
    api.on('join', api.hang())
    const caller = new AbortController()
    const opened = watch(open({ signal: caller.signal }))
    await clock.advance(100)
    caller.abort()
    await clock.settle()
    expect(opened.error?.code).toBe('cancelled')
    expect(api.times('leave')).toEqual([100])
  })

  test('a signal while nobody answers the join ends it without leaving', async () => {
    api.on('join', api.fail('unavailable'))
    const caller = new AbortController()
    const opened = watch(open({ signal: caller.signal }))
    await clock.settle()
    caller.abort()
    await clock.settle()
    expect(opened.error?.code).toBe('cancelled')
    expect(api.times('leave')).toEqual([])
  })

  test('a signal that has aborted already sends nothing', async () => {
    await expect(open({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'cancelled' })
    expect(api.calls).toEqual([])
    expect(clock.pendingTimers).toBe(0)
  })

  test('leaving is repeated for three seconds, then reported', async () => {
    api.on('leave', api.fail('outcome_unknown'))
    const caller = new AbortController()
    const opened = watch(open({ signal: caller.signal }))
    await clock.settle()
    caller.abort()
    await clock.advance(3_000)
    expect(opened.error?.code).toBe('cancelled')
    expect(api.times('leave').length).toBeGreaterThan(2)
    expect(progress.at(-1)?.type).toBe('leave_failed')
    expect(clock.pendingTimers).toBe(0)
  })

  test('a leave that hangs holds nobody up for longer than three seconds', async () => {
    api.on('leave', api.hang())
    const opened = watch(open({ waitTimeoutMs: 0 }))
    await clock.advance(3_000)
    expect(opened.error?.code).toBe('wait_timeout')
  })

  test.each(['left', 'lost'] as const)('a member found %s has lost its turn', async (state) => {
    api.on('wait', api.answer(member({ state })))
    await expect(open()).rejects.toMatchObject({ code: 'turn_lost' })
  })

  test('a refusal while waiting is passed on after leaving', async () => {
    api.on('wait', api.fail('not_found'))
    await expect(open()).rejects.toMatchObject({ code: 'not_found' })
    expect(api.times('leave')).toHaveLength(1)
  })

  test('a listener that throws changes nothing', async () => {
    api.on('wait', api.answer(holding(), 10))
    const opened = watch(
      open({
        onProgress: () => {
          throw new Error('a closed terminal')
        },
      }),
    )
    await clock.advance(10)
    expect(opened.value?.fence).toBe(7)
  })
})

describe('a late grant', () => {
  test('counts from the sending of the call that shows it, plus the server’s time', async () => {
    api.on('join', api.answer(holding({ elapsedMs: 250 }), 2_000))
    const opened = watch(open())
    await clock.advance(2_000)
    expect(opened.value?.deadline()).toBe(250 + 36_000)
  })

  test('a claimed elapsed time longer than the call itself is cut', async () => {
    api.on('join', api.answer(holding({ elapsedMs: 99_000 }), 2_000))
    const opened = watch(open())
    await clock.advance(2_000)
    expect(opened.value?.deadline()).toBe(2_000 + 36_000)
  })

  test('a negative elapsed time counts as none', async () => {
    api.on('join', api.answer(holding({ elapsedMs: -5_000 }), 100))
    const opened = watch(open())
    await clock.advance(100)
    expect(opened.value?.deadline()).toBe(36_000)
  })

  const lateGrant = (): void => {
    api.on('join', api.answer(member({ pollMs: 60_000 })))
    api.on('wait', api.answer(holding({ elapsedMs: 0 }), 32_000))
  }

  test('one with no time left to work in is confirmed by a beat, and counts from that', async () => {
    lateGrant()
    api.on('beat', api.fail('outcome_unknown'), api.answer({ elapsedMs: 0 }, 300))
    const opened = watch(open())
    await clock.advance(32_000)
    expect(opened.value).toBeUndefined()
    await clock.advance(2_000)
    expect(opened.value?.deadline()).toBe(api.times('beat')[1]! + 36_000)
    expect(opened.value?.stopping.aborted).toBe(false)
  })

  test('if the server has given it to another, it is lost before it began', async () => {
    lateGrant()
    api.on('beat', api.fail('turn_lost'))
    const opened = watch(open())
    await clock.advance(32_000)
    expect(opened.error?.code).toBe('turn_lost')
    expect(clock.pendingTimers).toBe(0)
  })

  test('one that arrives after the machine slept is confirmed first', async () => {
    api.on('join', api.answer(member()))
    api.on('wait', api.answer(holding(), 1_000))
    api.on('beat', api.answer({ elapsedMs: 0 }, 50))
    const opened = watch(open())
    await clock.advance(500)
    clock.jump(600_000)
    await clock.advance(500)
    expect(opened.value).toBeUndefined()
    await clock.advance(50)
    expect(opened.value?.deadline()).toBe(1_000 + 36_000)
  })
})

describe('holding', () => {
  async function held(options: Partial<OpenTurnOptions> = {}) {
    const turn = await open(options)
    const deadlines: Deadline[] = []
    turn.onDeadline((deadline) => deadlines.push(deadline))
    return { turn, deadlines }
  }

  test('beats every ten seconds and extends from the sending of each', async () => {
    api.on('beat', api.answer({ elapsedMs: 0 }, 700))
    const { turn, deadlines } = await held()
    expect(turn.deadline()).toBe(36_000)
    await clock.advance(35_000)
    expect(api.times('beat')).toEqual([10_000, 20_000, 30_000])
    expect(deadlines.map(({ at }) => at)).toEqual([46_000, 56_000, 66_000])
    expect(api.calls.at(-1)).toMatchObject({ op: 'beat', id: turn.id, fence: 7 })
    expect(turn.isHeld()).toBe(true)
  })

  test('states the deadline on the wall clock too, half a margin later', async () => {
    const { turn } = await held()
    expect(turn.limits()).toEqual({ at: 36_000, wallAt: clock.now() + 36_000 + 4_500 })
  })

  test('a short TTL beats every sixth of it and retries faster', async () => {
    const { turn } = await held({ ttlMs: 1_200, stopGraceMs: 300 })
    expect(turn.deadline()).toBe(960)
    api.on('beat', api.hang())
    await clock.advance(450)
    expect(api.times('beat')).toEqual([200, 267, 334, 401])
  })

  test('a failed beat is repeated every second, and the hold goes on from the one that arrives', async () => {
    const { turn, deadlines } = await held()
    api.on(
      'beat',
      api.fail('unavailable'),
      api.fail('throttled', 300),
      api.fail('internal'),
      api.answer({ elapsedMs: 0 }),
    )
    await clock.advance(13_000)
    expect(api.times('beat')).toEqual([10_000, 11_000, 12_000, 13_000])
    expect(kinds()).toEqual(['beat_failed', 'beat_failed', 'beat_failed', 'beat_restored'])
    expect(progress[0]).toMatchObject({ leftMs: 26_000 })
    expect(turn.deadline()).toBe(49_000)
    expect(deadlines).toHaveLength(1)
  })

  test('beats that hang delay no other, and an early one answered late extends nothing backwards', async () => {
    const { turn, deadlines } = await held()
    api.on(
      'beat',
      api.answer({ elapsedMs: 0 }, 4_000),
      api.hang(),
      api.answer({ elapsedMs: 0 }, 500),
      api.hang(),
    )
    await clock.advance(12_500)
    expect(turn.deadline()).toBe(12_000 + 36_000)
    await clock.advance(2_000)
    expect(turn.deadline()).toBe(12_000 + 36_000)
    expect(deadlines).toHaveLength(1)
  })

  test('without any answer it is time to stop a grace before the deadline, and lost at it', async () => {
    api.on('beat', api.hang())
    const { turn } = await held()
    await clock.advance(30_999)
    expect(turn.stopping.aborted).toBe(false)
    await clock.advance(1)
    expect(turn.stopping.aborted).toBe(true)
    expect(reason(turn.stopping).code).toBe('turn_lost')
    expect(turn.isHeld()).toBe(true)
    await clock.advance(4_999)
    expect(turn.lost.aborted).toBe(false)
    await clock.advance(1)
    expect(turn.lost.aborted).toBe(true)
    expect(reason(turn.lost)).toMatchObject({
      code: 'turn_lost',
      message: 'deploy: the turn was lost: no beat was acknowledged for 36s',
      details: { queue: 'deploy', fence: 7 },
    })
    expect(turn.isHeld()).toBe(false)
    expect(clock.pendingTimers).toBe(0)
  })

  test('an answer between stop and deadline extends the hold, but what was told to stop stays told', async () => {
    api.on('beat', api.hang())
    const { turn } = await held()
    await clock.advance(31_000)
    api.on('beat', api.answer({ elapsedMs: 0 }))
    await clock.advance(10_000)
    expect(turn.stopping.aborted).toBe(true)
    expect(turn.lost.aborted).toBe(false)
    expect(turn.deadline()).toBeGreaterThan(60_000)
  })

  test('an answer that comes after the deadline does not bring the turn back', async () => {
    api.on('beat', api.answer({ elapsedMs: 0 }, 9_900))
    const { turn, deadlines } = await held({ ttlMs: 17_000 })
    await clock.advance(30_000)
    expect(turn.lost.aborted).toBe(true)
    expect(deadlines).toEqual([])
  })

  test.each(['turn_lost', 'not_found'] as const)(
    'a beat refused with %s loses the turn at once',
    async (code) => {
      api.on('beat', api.fail(code))
      const { turn } = await held()
      await clock.advance(10_000)
      expect(turn.stopping.aborted).toBe(true)
      expect(reason(turn.lost).message).toBe(`deploy: the turn was lost: scripted ${code}`)
      await clock.advance(60_000)
      expect(api.times('beat')).toHaveLength(1)
    },
  )

  test('other refusals are not an end: a later beat may pass', async () => {
    api.on('beat', api.fail('unauthenticated'), api.answer({ elapsedMs: 0 }))
    const { turn } = await held()
    await clock.advance(15_000)
    expect(turn.isHeld()).toBe(true)
  })

  test('a blocked event loop is noticed by whoever asks, before any timer', async () => {
    const late = new (class extends ManualClock {
      behind = 0
      override monotonic(): number {
        return super.monotonic() + this.behind
      }
    })()
    clock = late
    api = new ScriptedTurns(late)
    const turn = await open()
    late.behind = 36_000
    expect(turn.isHeld()).toBe(false)
  })

  describe('when the machine sleeps', () => {
    test('the turn is lost within a second of waking', async () => {
      const { turn } = await held()
      await clock.advance(3_200)
      clock.jump(4_501)
      await clock.advance(1_000)
      expect(reason(turn.lost).message).toMatch(/suspended.* 5s$/)
    })

    test('steps of the wall clock up to half the margin, and any step back, change nothing', async () => {
      const { turn } = await held()
      await clock.advance(5_000)
      clock.jump(4_500)
      await clock.advance(30_000)
      clock.jump(-86_400_000)
      await clock.advance(30_000)
      expect(turn.isHeld()).toBe(true)
      expect(turn.stopping.aborted).toBe(false)
    })

    test('small steps do not add up: each acknowledged beat measures anew', async () => {
      const { turn } = await held()
      for (let i = 0; i < 10; i++) {
        clock.jump(3_000)
        await clock.advance(10_000)
      }
      expect(turn.isHeld()).toBe(true)
    })

    test('an answer that was on its way while it slept does not count', async () => {
      api.on('beat', api.answer({ elapsedMs: 0 }, 400))
      const { turn, deadlines } = await held()
      await clock.advance(10_100)
      clock.jump(60_000)
      await clock.advance(300)
      expect(deadlines).toEqual([])
      expect(turn.lost.aborted).toBe(true)
    })
  })
})

describe('release', () => {
  test('ends that hold by its fence, after the last beat', async () => {
    const turn = await open()
    await clock.advance(15_000)
    expect(await turn.release()).toBe('released')
    expect(api.calls.at(-1)).toMatchObject({ op: 'leave', id: turn.id, fence: 7 })
    await clock.advance(120_000)
    expect(api.calls.at(-1)?.op).toBe('leave')
    expect(turn.lost.aborted).toBe(false)
    expect(clock.pendingTimers).toBe(0)
  })

  test('twice is once', async () => {
    const turn = await open()
    expect(await Promise.all([turn.release(), turn.release()])).toEqual(['released', 'released'])
    expect(api.times('leave')).toHaveLength(1)
  })

  test('is repeated until the answer comes', async () => {
    api.on(
      'leave',
      api.fail('outcome_unknown'),
      api.hang(),
      api.fail('unavailable'),
      api.answer({ outcome: 'gone' }),
    )
    const turn = await open()
    const released = watch(turn.release())
    await clock.advance(10_000)
    expect(released.value).toBe('gone')
    expect(api.times('leave')).toHaveLength(4)
  })

  test('ends with the TTL when no answer ever comes', async () => {
    api.on('leave', api.fail('unavailable'))
    const turn = await open()
    const released = watch(turn.release())
    await clock.advance(44_000)
    expect(released.value).toBeUndefined()
    await clock.advance(2_000)
    expect(released.value).toBe('gone')
    expect(clock.pendingTimers).toBe(0)
  })

  test.each(['turn_lost', 'not_found'] as const)('refused with %s it is gone', async (code) => {
    api.on('leave', api.fail(code))
    const turn = await open()
    expect(await turn.release()).toBe('gone')
  })

  test('another refusal is passed on', async () => {
    api.on('leave', api.fail('permission_denied'))
    const turn = await open()
    await expect(turn.release()).rejects.toMatchObject({ code: 'permission_denied' })
  })

  test('may be given up', async () => {
    api.on('leave', api.hang())
    const turn = await open()
    const caller = new AbortController()
    const released = watch(turn.release({ signal: caller.signal }))
    caller.abort(new SignalboxError('cancelled', 'second Ctrl-C'))
    await clock.settle()
    expect(released.error?.code).toBe('cancelled')
    expect(clock.pendingTimers).toBe(0)
  })

  test('a beat on its way when the release begins neither extends nor loses anything', async () => {
    api.on('beat', api.fail('turn_lost', 500))
    const { length } = progress
    const turn = await open()
    await clock.advance(10_000)
    await turn.release()
    await clock.advance(1_000)
    expect(turn.lost.aborted).toBe(false)
    expect(progress).toHaveLength(length)
  })

  test('an abandoned turn is neither kept nor ended', async () => {
    const turn = await open()
    turn.abandon()
    await clock.advance(120_000)
    expect(api.calls.map(({ op }) => op)).toEqual(['join'])
    expect(turn.lost.aborted).toBe(false)
  })

  test('a lost turn is released as well, for the sake of the next one', async () => {
    api.on('beat', api.fail('unavailable'))
    const turn = await open()
    await clock.advance(36_000)
    expect(turn.lost.aborted).toBe(true)
    expect(await turn.release()).toBe('released')
  })
})

afterEach(() => {
  for (const event of progress) if ('error' in event) expect(isSignalboxError(event.error)).toBe(true)
})
