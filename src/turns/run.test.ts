import { beforeEach, describe, expect, test } from 'vitest'
import { SignalboxError } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { runTurn, type TurnContext } from './run.ts'
import type { OpenTurnOptions } from './session.ts'
import { ScriptedTurns } from './testing/scripted-turns.ts'

let clock: ManualClock
let api: ScriptedTurns
let options: OpenTurnOptions

beforeEach(() => {
  clock = new ManualClock()
  api = new ScriptedTurns(clock)
  options = { api, clock, random: seededRandom(1), queue: 'deploy' }
})

const ops = (): string[] => api.calls.map(({ op }) => op)

/** Work that ends when its signal aborts. */
const untilStopped = ({ signal }: TurnContext): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error))
  })

describe('runTurn', () => {
  test('gives the work its turn, returns its result and releases', async () => {
    const result = await runTurn(options, ({ queue, ticket, fence, signal }) => {
      expect(ops()).toEqual(['join'])
      expect(signal.aborted).toBe(false)
      return { queue, ticket, fence }
    })
    expect(result).toEqual({ queue: 'deploy', ticket: 12, fence: 7 })
    expect(ops()).toEqual(['join', 'leave'])
    expect(clock.pendingTimers).toBe(0)
  })

  test('releases when the work throws, and passes its error on', async () => {
    const failure = new Error('no space left')
    const run = runTurn(options, () => Promise.reject(failure))
    await expect(run).rejects.toBe(failure)
    expect(ops()).toEqual(['join', 'leave'])
  })

  test('does not start the work when the turn does not come', async () => {
    api.on('join', api.fail('queue_paused'))
    let started = false
    const run = runTurn(options, () => {
      started = true
    })
    await expect(run).rejects.toMatchObject({ code: 'queue_paused' })
    expect(started).toBe(false)
  })

  test('tells the work to stop before the turn ends, with the reason', async () => {
    api.on('beat', api.fail('unavailable'))
    const stopped: number[] = []
    const run = runTurn(options, (context) => {
      context.signal.addEventListener('abort', () => stopped.push(clock.monotonic()))
      return untilStopped(context)
    })
    const seen = run.catch((error: unknown) => error)
    await clock.advance(31_000)
    expect(stopped).toEqual([31_000])
    expect(await seen).toMatchObject({ code: 'turn_lost' })
    expect(ops().at(-1)).toBe('leave')
  })

  test('work that returns although its turn was lost counts as lost', async () => {
    api.on('beat', api.fail('turn_lost'))
    const finish = Promise.withResolvers<string>()
    const seen = runTurn(options, () => finish.promise).catch((error: unknown) => error)
    await clock.advance(20_000)
    finish.resolve('done')
    expect(await seen).toMatchObject({ code: 'turn_lost' })
  })

  test('work that fails because its turn was lost: the loss is told, its own error kept as cause', async () => {
    api.on('beat', api.fail('turn_lost'))
    const finish = Promise.withResolvers<string>()
    const seen = runTurn(options, () => finish.promise).catch((error: unknown) => error)
    await clock.advance(20_000)
    const failure = new Error('half done')
    finish.reject(failure)
    expect(await seen).toMatchObject({ code: 'turn_lost', cause: failure })
  })

  test('the caller’s signal reaches the work, which decides when it is done', async () => {
    const caller = new AbortController()
    const seen = runTurn({ ...options, signal: caller.signal }, untilStopped).catch((error: unknown) => error)
    await clock.settle()
    const reason = new Error('shutting down')
    caller.abort(reason)
    expect(await seen).toBe(reason)
    expect(ops()).toEqual(['join', 'leave'])
  })

  test('a release that is refused is reported, and does not spoil the result', async () => {
    api.on('leave', api.fail('permission_denied'))
    const reports: string[] = []
    const onProgress: OpenTurnOptions['onProgress'] = (event) => reports.push(event.type)
    expect(await runTurn({ ...options, onProgress }, () => 42)).toBe(42)
    expect(reports).toEqual(['leave_failed'])
  })

  test('refuses a TTL that cannot work before it starts anything', async () => {
    const run = runTurn({ ...options, ttlMs: 2_000 }, () => 1)
    await expect(run).rejects.toBeInstanceOf(SignalboxError)
    expect(api.calls).toEqual([])
  })
})
