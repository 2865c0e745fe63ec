import { beforeEach, describe, expect, test } from 'vitest'
import { SignalboxError, type ErrorCode } from '../kernel/error.ts'
import { sleep } from '../kernel/clock.ts'
import { seededRandom, type Random } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import {
  openLease,
  type Lease,
  type LeaseProgress,
  type OpenedLease,
  type OpenLeaseOptions,
} from './session.ts'
import type { LeasesApi } from './api.ts'
import { lease, pending, refused, ScriptedLeases } from './testing/scripted-leases.ts'
import { world } from './testing/world.ts'

let clock: ManualClock
let api: ScriptedLeases
let progress: LeaseProgress[]

const provider = { owner: 'acme', repo: 'shop', baseRef: 'main' }
const request = { sha: 'c3', ref: 'gh-readonly-queue/main/pr-3-abc', priority: 3 }
/** Draws the middle: a poll comes 5 % after the time that the server asked for. */
const random: Random = { next: () => 0.5, id: () => 'id' }

beforeEach(() => {
  clock = new ManualClock()
  api = new ScriptedLeases(clock)
  progress = []
})

function open(options: Partial<OpenLeaseOptions> = {}): Promise<OpenedLease> {
  return openLease({
    api,
    clock,
    random,
    provider,
    request,
    onProgress: (event) => progress.push(event),
    ...options,
  })
}

/** With 60 s: renewals at 20 s, stop at 43 s, lost at 48 s. */
const granted = (fence = 7) => lease('acquired', { fence, expiresAt: clock.now() + 60_000, leaseMs: 60_000 })

async function hold(leaseMs?: number): Promise<Lease> {
  const opened = await open(leaseMs === undefined ? {} : { request: { ...request, leaseMs } })
  if (opened.status !== 'acquired') throw new Error('not acquired')
  return opened.lease
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

const kinds = (): string[] => progress.map(({ type }) => type)
const verbs = (): string[] => api.calls.map(({ verb }) => verb)

describe('asking', () => {
  test('a lease that is free is held at once', async () => {
    api.on('acquire', api.answer(lease('acquired', { fence: 7, stacked: [1, 3], expiresAt: 5 })))
    const held = await hold()
    expect(held).toMatchObject({ sha: 'c3', fence: 7, stacked: [1, 3], expiresAt: 5, waitedMs: 0 })
    expect(api.calls).toEqual([{ verb: 'acquire', at: 0, provider, request }])
    expect([held.limits(), held.isHeld(), clock.pendingTimers]).toEqual([undefined, true, 0])
    expect(kinds()).toEqual(['acquired'])
  })

  test('the server says when to ask again, and why', async () => {
    api.on('acquire', api.answer(pending('gathering', 10_000)), api.answer(granted()))
    const opened = watch(open())
    await clock.advance(10_499)
    expect(opened.value).toBeUndefined()
    await clock.advance(1)
    expect(opened.value?.status).toBe('acquired')
    expect(progress).toEqual([
      { type: 'waiting', admitted: true, reason: 'gathering', nextMs: 10_500 },
      { type: 'acquired', fence: 7, stacked: [] },
    ])
  })

  test('a server that does not say is asked every five seconds', async () => {
    api.on('acquire', api.answer(lease('pending')))
    const stop = new AbortController()
    const opened = watch(open({ signal: stop.signal }))
    await clock.advance(16_000)
    stop.abort()
    await clock.settle()
    expect(api.times('acquire')).toEqual([0, 5_250, 10_500, 15_750])
    expect(opened.error?.code).toBe('cancelled')
  })

  test.each([
    [0, 525],
    [86_400_000, 31_500],
  ])('a Retry-After of %i ms is kept within bounds', async (retryAfterMs, secondAt) => {
    api.on('acquire', api.answer(pending('why', retryAfterMs)), api.answer(granted()))
    const opened = watch(open())
    await clock.advance(40_000)
    expect(opened.value?.status).toBe('acquired')
    expect(api.times('acquire')).toEqual([0, secondAt])
  })

  test('who is told completed has nothing to do, and releases nothing', async () => {
    api.on('acquire', api.answer(pending('why', 1_000)), api.answer(lease('completed')))
    const opened = watch(open())
    await clock.advance(2_000)
    expect(opened.value).toMatchObject({ status: 'completed' })
    expect(verbs()).toEqual(['acquire', 'acquire'])
    expect(kinds()).toEqual(['waiting', 'completed'])
  })

  test('a conflict is a batch that is being settled: it is waited out', async () => {
    api.on('acquire', api.answer(refused('acquired', 2_000)), api.answer(refused()), api.answer(granted()))
    const opened = watch(open())
    await clock.advance(8_000)
    expect(opened.value?.status).toBe('acquired')
    expect(api.times('acquire')).toEqual([0, 2_100, 7_350])
    expect(progress[0]).toMatchObject({ type: 'waiting', admitted: false, reason: refused().reason })
  })
})

describe('a server that is away', () => {
  test.each(['unavailable', 'outcome_unknown', 'throttled'] as const)('%s is asked again', async (code) => {
    api.on('acquire', api.fail(code), api.fail(code), api.answer(granted()))
    const opened = watch(open())
    await clock.advance(2_000)
    expect(opened.value?.status).toBe('acquired')
    expect(kinds()).toEqual(['unreachable', 'unreachable', 'reachable', 'acquired'])
  })

  test('a server away for days is waited for', async () => {
    api.on('acquire', api.fail('unavailable'))
    const opened = watch(open())
    await clock.advance(3_600_000)
    expect([opened.value, opened.error]).toEqual([undefined, undefined])
    expect(api.calls.length).toBeLessThan(3_600)
    api.on('acquire', api.answer(granted()))
    await clock.advance(6_000)
    expect(opened.value?.status).toBe('acquired')
  })

  test('a call that never comes back is given up and repeated', async () => {
    api.on('acquire', api.hang(), api.answer(granted()))
    const opened = watch(open())
    await clock.advance(16_000)
    expect(opened.value?.status).toBe('acquired')
  })

  test('a busy server’s Retry-After is kept', async () => {
    api.on('acquire', api.fail('unavailable', { retryAfterMs: 9_000 }), api.answer(granted()))
    const opened = watch(open())
    await clock.advance(10_000)
    expect(opened.value?.status).toBe('acquired')
    expect(api.times('acquire')).toEqual([0, 9_000])
  })

  test.each(['unauthenticated', 'permission_denied', 'not_found', 'invalid_argument', 'internal'] as const)(
    '%s ends it at once',
    async (code) => {
      api.on('acquire', api.fail(code))
      const opened = watch(open())
      await clock.settle()
      expect(opened.error).toMatchObject({ code, message: `http://box: ${code}` })
      expect(clock.pendingTimers).toBe(0)
    },
  )

  test('a proxy’s 404 ends it at the start and is waited out later', async () => {
    const away = api.fail('not_found', { foreign: true })
    api.on('acquire', away)
    const first = watch(open())
    await clock.settle()
    expect(first.error?.code).toBe('not_found')
    api.on('acquire', api.answer(pending('why', 1_000)), away, away, api.answer(granted()))
    const second = watch(open())
    await clock.advance(10_000)
    expect(second.value?.status).toBe('acquired')
  })

  test('a listener that fails does not touch the lease', async () => {
    api.on('acquire', api.fail('unavailable'), api.answer(granted()))
    const opened = watch(
      open({
        onProgress: () => {
          throw new Error('the terminal is gone')
        },
      }),
    )
    await clock.advance(1_000)
    expect(opened.value?.status).toBe('acquired')
  })
})

describe('giving up', () => {
  test('the wait time ends the waiting, and the request is withdrawn', async () => {
    api.on('acquire', api.answer(pending('why', 10_000)))
    const opened = watch(open({ waitTimeoutMs: 25_000 }))
    await clock.advance(24_999)
    expect(opened.error).toBeUndefined()
    await clock.advance(1)
    expect(opened.error).toMatchObject({
      code: 'wait_timeout',
      message: 'acme/shop@main: the lease did not come within 25s; wait longer, or look at who holds it',
    })
    expect(api.calls.at(-1)).toEqual({
      verb: 'release',
      at: 25_000,
      provider,
      request: { ...request, success: false },
    })
    expect(clock.pendingTimers).toBe(0)
  })

  test('no wait time at all: a lease that is not granted at once is left', async () => {
    api.on('acquire', api.answer(pending('why'), 900))
    const opened = watch(open({ waitTimeoutMs: 0 }))
    await clock.advance(900)
    expect(opened.error?.code).toBe('wait_timeout')
    expect(verbs()).toEqual(['acquire', 'release'])
    api.on('acquire', api.answer(granted(), 900))
    const other = watch(open({ waitTimeoutMs: 0 }))
    await clock.advance(900)
    expect(other.value?.status).toBe('acquired')
  })

  test('who could not reach the server in time hears why', async () => {
    api.on('acquire', api.fail('unavailable'))
    const opened = watch(open({ waitTimeoutMs: 20_000 }))
    await clock.advance(20_000)
    expect(opened.error?.message).toBe(
      'acme/shop@main: the lease did not come within 20s; last: http://box: unavailable',
    )
    expect(verbs()).not.toContain('release')
  })

  test('a signal before the start sends nothing', async () => {
    await expect(open({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'cancelled' })
    expect(api.calls).toEqual([])
  })

  test('a signal while the first call is under way: it may have arrived, so it is withdrawn', async () => {
    const stop = new AbortController()
    api.on('acquire', api.hang())
    const opened = watch(open({ signal: stop.signal }))
    await clock.advance(100)
    stop.abort(new SignalboxError('cancelled', 'Ctrl-C', { details: { signal: 'SIGINT' } }))
    await clock.settle()
    expect(opened.error).toMatchObject({
      code: 'cancelled',
      message: 'Ctrl-C',
      details: { signal: 'SIGINT' },
    })
    expect(verbs()).toEqual(['acquire', 'release'])
  })

  test.each([
    ['a lost answer', 'outcome_unknown', {}, ['acquire', 'release']],
    ['a success that cannot be read', 'unavailable', { strange: true }, ['acquire', 'release']],
    ['a refused connection', 'unavailable', {}, ['acquire']],
  ] as const)('a signal after %s withdraws what may have arrived', async (_, code, details, calls) => {
    api.on('acquire', api.fail(code, details))
    const stop = new AbortController()
    const opened = watch(open({ signal: stop.signal }))
    await clock.settle()
    stop.abort()
    await clock.settle()
    expect(opened.error?.code).toBe('cancelled')
    expect(verbs()).toEqual(calls)
  })

  test('who was refused by a conflict is not known, and withdraws nothing', async () => {
    const stop = new AbortController()
    api.on('acquire', api.answer(refused()))
    const opened = watch(open({ signal: stop.signal }))
    await clock.settle()
    stop.abort()
    await clock.settle()
    expect(opened.error?.code).toBe('cancelled')
    expect(verbs()).toEqual(['acquire'])
  })

  test('a signal in the moment of the grant gives the lease back', async () => {
    const stop = new AbortController()
    api.on('acquire', async () => {
      stop.abort()
      return granted()
    })
    const opened = watch(open({ signal: stop.signal }))
    await clock.settle()
    expect(opened.error?.code).toBe('cancelled')
    expect(verbs()).toEqual(['acquire', 'release'])
  })

  test('so does one that a listener gives while it is told of the answer', async () => {
    const stop = new AbortController()
    api.on('acquire', api.fail('unavailable'), api.answer(granted()))
    const onProgress = ({ type }: LeaseProgress): void => {
      if (type === 'reachable') stop.abort()
    }
    const opened = watch(open({ signal: stop.signal, onProgress }))
    await clock.advance(1_000)
    expect(opened.error?.code).toBe('cancelled')
    expect(verbs()).toEqual(['acquire', 'acquire', 'release'])
  })

  test('withdrawing is tried for three seconds, then the server forgets by itself', async () => {
    const stop = new AbortController()
    api.on('acquire', api.answer(pending('why')))
    for (const away of [api.fail('unavailable'), api.hang()]) {
      api.on('release', away)
      const opened = watch(open({ signal: stop.signal }))
      await clock.settle()
      stop.abort()
      await clock.advance(3_000)
      expect(opened.error?.code).toBe('cancelled')
      expect(kinds().at(-1)).toBe('withdraw_failed')
    }
    expect(clock.pendingTimers).toBe(0)
  })

  test('a refusal while waiting withdraws as well', async () => {
    api.on('acquire', api.answer(pending('why', 1_000)), api.fail('permission_denied'))
    const opened = watch(open())
    await clock.advance(1_100)
    expect(opened.error?.code).toBe('permission_denied')
    expect(verbs()).toEqual(['acquire', 'acquire', 'release'])
  })
})

describe('holding', () => {
  test('a lease is renewed every third of it, and its deadline counts from the sending', async () => {
    api.on('acquire', api.answer(granted(), 400))
    const opened = watch(open({ request: { ...request, leaseMs: 60_000 } }))
    await clock.advance(400)
    if (opened.value?.status !== 'acquired') throw new Error('not acquired')
    const held = opened.value.lease
    expect(held.limits()).toEqual({ at: 48_000, wallAt: Date.UTC(2026, 0, 1) + 54_000 })
    const deadlines: number[] = []
    held.onDeadline(({ at }) => deadlines.push(at))
    await clock.advance(61_000)
    expect(api.times('acquire')).toEqual([0, 20_000, 40_000, 60_000])
    expect(deadlines).toEqual([68_000, 88_000, 108_000])
    expect(api.calls[1]?.request).toEqual({ ...request, leaseMs: 60_000 })
    expect(held.isHeld()).toBe(true)
    await held.release('success')
    expect(clock.pendingTimers).toBe(0)
  })

  test('without a length it is not renewed', async () => {
    const held = await hold()
    await clock.advance(7_200_000)
    expect(verbs()).toEqual(['acquire'])
    expect([held.isHeld(), held.stopping.aborted, held.lost.aborted]).toEqual([true, false, false])
  })

  test('a server that knows no renewal is not asked for one', async () => {
    api.on('acquire', api.answer(lease('acquired')))
    const held = await hold(60_000)
    await clock.advance(7_200_000)
    expect([verbs(), held.limits(), held.isHeld()]).toEqual([['acquire'], undefined, true])
  })

  test('a server that grants less is believed', async () => {
    api.on('acquire', api.answer({ ...granted(), leaseMs: 6_000 }))
    const held = await hold(60_000)
    expect(held.limits()?.at).toBe(4_800)
    await clock.advance(2_100)
    expect(api.times('acquire')).toEqual([0, 2_000])
    held.abandon()
  })

  test('a server that grants less from a renewal on is believed from then on', async () => {
    const less = { ...granted(), leaseMs: 15_000 }
    api.on('acquire', api.answer(granted()), api.answer(less), api.answer(granted()), api.fail('unavailable'))
    const held = await hold(60_000)
    const deadlines: number[] = []
    held.onDeadline(({ at }) => deadlines.push(at))
    await clock.advance(20_000)
    expect([held.limits()?.at, deadlines]).toEqual([32_000, [32_000]])
    await clock.advance(5_000)
    expect([held.limits()?.at, deadlines]).toEqual([37_000, [32_000, 37_000]])
    expect(api.calls.at(-1)?.request).toMatchObject({ leaseMs: 15_000 })
    await clock.advance(7_499)
    expect([held.stopping.aborted, progress.at(-1)]).toMatchObject([false, { type: 'renew_failed' }])
    await clock.advance(1)
    expect([held.stopping.aborted, held.isHeld()]).toEqual([true, true])
    await clock.advance(4_500)
    expect(held.isHeld()).toBe(false)
  })

  test('also when a later renewal was answered first', async () => {
    const less = { ...granted(), leaseMs: 15_000 }
    api.on('acquire', api.answer(granted()), api.answer(less, 3_000), api.answer(granted()))
    const held = await hold(60_000)
    await clock.advance(22_900)
    expect(held.limits()?.at).toBe(69_000)
    const deadlines: number[] = []
    held.onDeadline(({ at }) => deadlines.push(at))
    await clock.advance(100)
    expect([held.limits()?.at, deadlines]).toEqual([33_000, [33_000]])
    held.abandon()
  })

  test('renewals that fail: stop a grace before the deadline, then the lease is lost', async () => {
    api.on('acquire', api.answer(granted()), api.fail('unavailable'))
    const held = await hold(60_000)
    await clock.advance(42_999)
    expect([held.stopping.aborted, held.isHeld()]).toEqual([false, true])
    await clock.advance(1)
    expect([held.stopping.aborted, held.lost.aborted, held.isHeld()]).toEqual([true, false, true])
    await clock.advance(5_000)
    expect([held.lost.aborted, held.isHeld()]).toEqual([true, false])
    expect(held.lost.reason).toMatchObject({
      code: 'lease_lost',
      message: 'acme/shop@main: the lease was lost: no renewal was acknowledged for 48s',
    })
    expect(progress.find(({ type }) => type === 'renew_failed')).toMatchObject({ leftMs: 28_000 })
    expect(clock.pendingTimers).toBe(0)
  })

  test('a server that is back in time keeps the lease', async () => {
    api.on('acquire', api.answer(granted()), api.fail('outcome_unknown'))
    const held = await hold(60_000)
    await clock.advance(41_000)
    api.on('acquire', api.answer(granted()))
    await clock.advance(1_500)
    expect([held.isHeld(), held.stopping.aborted]).toEqual([true, false])
    expect(held.limits()?.at).toBeGreaterThan(80_000)
    expect(kinds().at(-1)).toBe('renewed')
    held.abandon()
  })

  test('a renewal that hangs delays no other, and one that is answered late counts from its sending', async () => {
    api.on('acquire', api.answer(granted()), api.answer(granted(), 9_000), api.hang())
    const held = await hold(60_000)
    await clock.advance(29_000)
    expect(held.limits()?.at).toBe(68_000)
    held.abandon()
  })

  test('an answer that comes after that to a later renewal moves nothing back', async () => {
    api.on('acquire', api.answer(granted()), api.answer(granted(), 9_000), api.answer(granted()))
    const held = await hold(60_000)
    await clock.advance(21_500)
    expect(held.limits()?.at).toBe(69_000)
    await clock.advance(8_000)
    expect(held.limits()?.at).toBe(69_000)
    held.abandon()
  })

  test.each([
    ['pending', lease('pending', { reason: 'why', fence: 7 })],
    ['completed', lease('completed', { fence: 7 })],
    ['granted under another fence', lease('acquired', { fence: 9, expiresAt: 1 })],
    ['refused', refused()],
  ])('a renewal that is answered %s: the lease is lost at once', async (_, answer) => {
    api.on('acquire', api.answer(granted()), api.answer(answer))
    const held = await hold(60_000)
    await clock.advance(20_000)
    expect([held.isHeld(), held.stopping.aborted, held.lost.aborted]).toEqual([false, true, true])
    expect(held.lost.reason).toMatchObject({ code: 'lease_lost' })
    expect(api.times('acquire')).toEqual([0, 20_000])
  })

  test('a suspended machine loses its lease; small steps of the clock do not', async () => {
    api.on('acquire', api.answer(granted()))
    const held = await hold(60_000)
    clock.jump(5_000)
    expect(held.isHeld()).toBe(true)
    clock.jump(-9_000)
    await clock.advance(1_000)
    expect(held.isHeld()).toBe(true)
    clock.jump(20_000)
    expect(held.isHeld()).toBe(false)
    expect(held.lost.reason).toMatchObject({ code: 'lease_lost' })
    expect((held.lost.reason as SignalboxError).message).toContain('was suspended')
  })

  test('a grant whose answer is too old to work with is renewed first', async () => {
    api.on('acquire', api.answer(granted(), 14_500), api.answer({ ...granted(), leaseMs: 17_000 }))
    const opened = watch(open({ request: { ...request, leaseMs: 17_000 } }))
    await clock.advance(14_500)
    expect(opened.value?.status).toBe('acquired')
    expect(api.times('acquire')).toEqual([0, 14_500])
    if (opened.value?.status === 'acquired') opened.value.lease.abandon()
  })

  test('a lease too short to renew in time is refused before anything is sent', async () => {
    const opened = watch(open({ request: { ...request, leaseMs: 16_000 } }))
    await clock.settle()
    expect(opened.error).toMatchObject({ code: 'invalid_argument', details: { minimumMs: 17_000 } })
    expect(api.calls).toEqual([])
  })
})

describe('releasing', () => {
  test.each([
    ['success', true],
    ['failure', false],
    ['cancelled', false],
    ['timed_out', false],
    ['skipped', false],
  ] as const)('%s', async (outcome, success) => {
    const held = await hold()
    expect(await held.release(outcome)).toMatchObject({ status: 'completed' })
    expect(api.calls.at(-1)?.request).toEqual({ ...request, success })
    expect(held.isHeld()).toBe(false)
  })

  test('is told once, however often it is called', async () => {
    const held = await hold()
    await Promise.all([held.release('success'), held.release('failure')])
    expect(verbs()).toEqual(['acquire', 'release'])
  })

  test('outlasts a server that is restarted', async () => {
    const held = await hold()
    api.on('release', api.fail('unavailable'), api.fail('outcome_unknown'), api.answer(lease('failure')))
    const released = watch(held.release('failure'))
    await clock.advance(10_000)
    expect(released.value).toMatchObject({ status: 'failure' })
    expect(kinds()).toEqual(['acquired', 'release_failed', 'release_failed'])
  })

  test('ends with the last failure after three minutes', async () => {
    const held = await hold()
    api.on('release', api.fail('unavailable'))
    const released = watch(held.release('success'))
    await clock.advance(179_000)
    expect(released.error).toBeUndefined()
    await clock.advance(10_000)
    expect(released.error?.code).toBe('unavailable')
    expect(clock.pendingTimers).toBe(0)
  })

  test.each(['unauthenticated', 'not_found'] as const satisfies ErrorCode[])(
    '%s is not repeated',
    async (code) => {
      const held = await hold()
      api.on('release', api.fail(code))
      await expect(held.release('success')).rejects.toMatchObject({ code })
    },
  )

  test('a proxy’s 404 is repeated', async () => {
    const held = await hold()
    api.on('release', api.fail('not_found', { foreign: true }), api.answer(lease('completed')))
    const released = watch(held.release('success'))
    await clock.advance(1_000)
    expect(released.value).toMatchObject({ status: 'completed' })
    expect(kinds()).toEqual(['acquired', 'release_failed'])
  })

  test('of a lease that is not ours any more says so', async () => {
    const held = await hold()
    api.on('release', api.answer(refused('not_holder')))
    expect(await held.release('success')).toMatchObject({ kind: 'refused', why: 'not_holder' })
  })

  test('a signal gives it up', async () => {
    const held = await hold()
    api.on('release', api.hang())
    const stop = new AbortController()
    const released = watch(held.release('success', { signal: stop.signal }))
    stop.abort(new Error('a second Ctrl-C'))
    await clock.settle()
    expect(released.error?.message).toBe('a second Ctrl-C')
  })

  test('ends the renewals; one under way is answered first, and does not count', async () => {
    api.on('acquire', api.answer(granted()), api.answer(refused(), 500))
    const held = await hold(60_000)
    await clock.advance(20_100)
    void held.release('success')
    await clock.advance(60_000)
    expect(held.lost.aborted).toBe(false)
    expect([api.times('acquire'), api.times('release')]).toEqual([[0, 20_000], [20_500]])
    expect(clock.pendingTimers).toBe(0)
  })

  test('hangs up on a renewal that is not answered within a second', async () => {
    let line: AbortSignal | undefined
    api.on('acquire', api.answer(granted()), (signal) => {
      line = signal
      return new Promise(() => undefined)
    })
    const held = await hold(60_000)
    await clock.advance(20_100)
    const released = watch(held.release('success'))
    await clock.advance(999)
    expect([line?.aborted, verbs()]).toEqual([false, ['acquire', 'acquire']])
    await clock.advance(1)
    expect([line?.aborted, released.value]).toMatchObject([true, { status: 'completed' }])
    expect([api.times('release'), clock.pendingTimers]).toEqual([[21_100], 0])
  })

  test('a signal ends the waiting for such a renewal as well', async () => {
    api.on('acquire', api.answer(granted()), api.hang())
    const held = await hold(60_000)
    await clock.advance(20_000)
    const stop = new AbortController()
    const released = watch(held.release('success', { signal: stop.signal }))
    stop.abort(new Error('a second Ctrl-C'))
    await clock.settle()
    expect([released.error?.message, clock.pendingTimers]).toEqual(['a second Ctrl-C', 0])
  })
})

describe('with the service itself', () => {
  test('three groups: the highest works, fails, the next one succeeds, the lowest is completed', async () => {
    const { clock: time, open: seat } = world({ stabilizeMs: 1_000, ttlMs: 30_000 })
    const { leases } = seat()
    const session = (priority: number) =>
      watch(
        openLease({
          api: leases,
          clock: time,
          random,
          provider,
          request: { sha: `c${priority}`, priority, leaseMs: 60_000 },
        }),
      )
    const [one, two, three] = [session(1), session(2), session(3)]
    await time.advance(12_000)
    expect([one, two, three].map(({ value }) => value?.status)).toEqual([undefined, undefined, 'acquired'])
    if (three.value?.status === 'acquired') await three.value.lease.release('failure')
    await time.advance(12_000)
    expect([one.value?.status, two.value?.status]).toEqual([undefined, 'acquired'])
    await time.advance(120_000)
    if (two.value?.status === 'acquired') {
      expect(two.value.lease.isHeld()).toBe(true)
      await two.value.lease.release('success')
    }
    await time.advance(12_000)
    expect(one.value).toMatchObject({ status: 'completed' })
  })

  test('a holder that was cleared by an operator loses its lease at the next renewal', async () => {
    const { clock: time, open: seat } = world({ stabilizeMs: 0 })
    const { leases } = seat()
    const options = { api: leases, clock: time, random, provider }
    const opened = await openLease({ ...options, request: { sha: 'c1', priority: 1, leaseMs: 60_000 } })
    if (opened.status !== 'acquired') throw new Error('not acquired')
    await leases.clear(provider, { by: 'ann' })
    await time.advance(20_000)
    expect(opened.lease.lost.aborted).toBe(true)
  })

  test.each([1, 2, 3, 4, 5, 6, 7, 8])('five groups on a bad line, played with seed %i', async (seed) => {
    const { clock: time, open: seat } = world({ stabilizeMs: 60_000, ttlMs: 90_000, expectedCount: 5 })
    const { leases } = seat()
    const line = seededRandom(seed)
    const working = new Set<string>()
    const done: string[] = []
    const group = async (priority: number): Promise<void> => {
      const sha = `c${priority}`
      const options = { api: badLine(leases, line), clock: time, random: line, provider }
      const opened = await openLease({ ...options, request: { sha, priority, leaseMs: 60_000 } })
      if (opened.status === 'completed') {
        done.push(`${sha} completed`)
        return
      }
      const { lease: own } = opened
      working.add(sha)
      expect([...working]).toEqual([sha])
      await sleep(time, line.next() * 100_000)
      expect(own.isHeld()).toBe(true)
      working.delete(sha)
      const outcome = priority > 3 ? 'failure' : 'success'
      done.push(`${sha} ${outcome}`)
      expect(await own.release(outcome)).toMatchObject({ kind: 'lease' })
    }
    const all = watch(Promise.all([1, 2, 3, 4, 5].map(group)))
    await time.advance(1_200_000)
    expect(all).toMatchObject({
      value: [undefined, undefined, undefined, undefined, undefined],
      error: undefined,
    })
    expect(done.slice(0, 3)).toEqual(['c5 failure', 'c4 failure', 'c3 success'])
    expect(done.slice(3).toSorted()).toEqual(['c1 completed', 'c2 completed'])
    expect(time.pendingTimers).toBe(0)
  })

  test('a renewal that is slow to arrive does not let the request in anew after its release', async () => {
    const { clock: time, open: seat } = world({ stabilizeMs: 0 })
    const { leases } = seat()
    const slow: Pick<LeasesApi, 'acquire' | 'release'> = {
      async acquire(name, body) {
        if (time.monotonic() > 0) await sleep(time, 700)
        return leases.acquire(name, body)
      },
      release: (name, body) => leases.release(name, body),
    }
    const options = { api: slow, clock: time, random, provider }
    const opened = await openLease({ ...options, request: { sha: 'c1', priority: 1, leaseMs: 60_000 } })
    if (opened.status !== 'acquired') throw new Error('not acquired')
    await time.advance(20_100)
    const released = watch(opened.lease.release('failure'))
    await time.advance(2_000)
    expect(released.value).toMatchObject({ status: 'failure' })
    expect((await leases.show(provider)).known).toEqual([])
  })

  test('whenever it is given up, nothing of it is left behind', async () => {
    for (let atMs = 0; atMs <= 24_000; atMs += 500) {
      const { clock: time, open: seat } = world({ stabilizeMs: 20_000, expectedCount: 9 })
      const { leases } = seat()
      const stop = new AbortController()
      const slow = late(leases, time, 700)
      const options = { api: slow, clock: time, random, provider, signal: stop.signal }
      const opened = watch(openLease({ ...options, request: { sha: 'c1', priority: 1 } }))
      await time.advance(atMs)
      stop.abort()
      await time.advance(2_000)
      if (opened.value?.status === 'acquired') {
        await Promise.all([opened.value.lease.release('cancelled'), time.advance(1_000)])
      } else expect(opened.error?.code).toBe('cancelled')
      expect((await leases.show(provider)).known).toEqual([])
    }
  })
})

/** Every third call is lost on the way there, every third answer on the way back. */
function badLine(api: LeasesApi, chance: Random): LeasesApi {
  const over = async <T>(call: () => Promise<T>): Promise<T> => {
    const fate = chance.next()
    if (fate < 1 / 3) throw new SignalboxError('outcome_unknown', 'lost on the way there')
    const answer = await call()
    if (fate < 2 / 3) throw new SignalboxError('outcome_unknown', 'lost on the way back')
    return answer
  }
  return {
    ...api,
    acquire: (name, body) => over(() => api.acquire(name, body)),
    release: (name, body) => over(() => api.release(name, body)),
  }
}

/** Answers come this much later. */
function late(api: LeasesApi, time: ManualClock, ms: number): LeasesApi {
  const after = async <T>(answer: Promise<T>): Promise<T> => {
    const value = await answer
    await sleep(time, ms)
    return value
  }
  return {
    ...api,
    acquire: (name, body) => after(api.acquire(name, body)),
    release: (name, body) => after(api.release(name, body)),
  }
}
