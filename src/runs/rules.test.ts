import { describe, expect, it } from 'vitest'
import { checkAt, step, type Answer, type Command, type Moment } from './rules.ts'
import { hasEnded, type Run } from './state.ts'
import { MAX_LOG_LINES, runStates, type NewRun, type RunState } from './vocabulary.ts'

const NOW = 1_000_000
const LEASE = 30_000
const at = (now: number, more: Partial<Moment> = {}): Moment => ({ now, slackMs: 0, heardSince: 0, ...more })

const fresh = {
  id: 'mail:1',
  job: 'mail',
  queue: 'default',
  input: {},
  attempts: 3,
  onLost: 'retry',
  source: 'enqueue',
} as const satisfies NewRun

function born(more: Partial<NewRun> = {}): Run {
  const { run } = step(
    undefined,
    { kind: 'create', run: { ...fresh, ...more, id: 'mail:1' }, retentionMs: 1_000 },
    at(NOW),
  )
  if (run === undefined) throw new Error('not born')
  return run
}

/** Plays commands one after the other. */
function played(run: Run, ...commands: readonly (readonly [Command, number?])[]): Run {
  return commands.reduce((before, [command, now = NOW]) => step(before, command, at(now)).run ?? before, run)
}

const claim: Command = { kind: 'claim', worker: 'w1', leaseMs: LEASE, nonce: 'n1' }
const running = (more: Partial<NewRun> = {}): Run => played(born(more), [claim])
const cancel: Command = { kind: 'cancel', by: 'ann', reason: 'enough' }
const finish = (outcome: Extract<Command, { kind: 'finish' }>['outcome'], epoch = 1): Command => ({
  kind: 'finish',
  epoch,
  outcome,
})
const failure = { kind: 'failed', error: { message: 'no' } } as const

/** One run in each state. */
const samples: Readonly<Record<RunState, Run>> = {
  queued: born(),
  running: running(),
  succeeded: played(running(), [finish({ kind: 'succeeded' })]),
  failed: played(running(), [finish(failure)]),
  cancelled: played(born(), [cancel]),
  timed_out: played(running(), [finish({ kind: 'timed_out' })]),
  lost: played(running({ onLost: 'fail' }), [{ kind: 'check' }, NOW + LEASE]),
  skipped: born({ skipped: 'overlaps' }),
}

const commands: Readonly<Record<string, Command>> = {
  create: { kind: 'create', run: fresh, retentionMs: 1_000 },
  claim: { ...claim, nonce: 'n2' },
  beat: { kind: 'beat', epoch: 1, leaseMs: LEASE },
  'finish succeeded': finish({ kind: 'succeeded' }),
  'finish failed': finish(failure),
  'finish failed, retry': finish({ ...failure, retryDelayMs: 5_000 }),
  'finish timed_out': finish({ kind: 'timed_out' }),
  'finish cancelled': finish({ kind: 'cancelled' }),
  'finish returned': finish({ kind: 'returned' }),
  log: { kind: 'log', epoch: 1, lines: [{ at: 1, level: 1, text: 'x', bytes: 10 }] },
  cancel,
  check: { kind: 'check' },
  release: { kind: 'release' },
  rouse: { kind: 'rouse', silentMs: 60_000 },
}

describe('each state × each command', () => {
  it('has the samples it says it has', () => {
    for (const state of runStates) expect(samples[state].state).toBe(state)
  })

  it.each(Object.entries(commands))(
    'held, %s: nothing changes but by release and cancel',
    (name, command) => {
      const held = born({ hold: 'waits' })
      const { run, effects } = step(held, command, at(NOW + 86_400_000))
      if (name === 'release') {
        expect(run).toMatchObject({ state: 'queued', wakes: 1, rev: held.rev + 1 })
        expect(run?.hold).toBeUndefined()
        expect(effects).toEqual({ wakeAt: NOW + 86_400_000 })
      } else if (name === 'cancel') {
        expect(run).toMatchObject({ state: 'cancelled' })
        expect(run?.hold).toBeUndefined()
      } else expect(run).toBe(held)
    },
  )

  /** The state after the command, a little later; what is not listed changes nothing. */
  const table: Readonly<Record<string, Readonly<Record<string, RunState>>>> = {
    queued: { claim: 'running', cancel: 'cancelled' },
    running: {
      beat: 'running',
      'finish succeeded': 'succeeded',
      'finish failed': 'failed',
      'finish failed, retry': 'queued',
      'finish timed_out': 'timed_out',
      'finish cancelled': 'cancelled',
      'finish returned': 'queued',
      log: 'running',
      cancel: 'running',
    },
  }
  for (const state of runStates) {
    for (const [name, command] of Object.entries(commands)) {
      const next = table[state]?.[name]
      it(`${state}, ${name}: ${next ?? 'nothing changes'}`, () => {
        const before = samples[state]
        const { run } = step(before, command, at(NOW + 1_000))
        if (next === undefined) expect(run).toBe(before)
        else {
          expect(run).not.toBe(before)
          expect(run?.state).toBe(next)
          expect(run?.rev).toBe(before.rev + 1)
        }
      })
    }
  }

  it('says the same again to a finish that is repeated, and no to another one', () => {
    for (const [state, outcome] of [
      ['succeeded', { kind: 'succeeded' }],
      ['failed', failure],
      ['timed_out', { kind: 'timed_out' }],
    ] as const) {
      expect(step(samples[state], finish(outcome), at(NOW)).answer).toEqual({ kind: 'finished' })
      expect(step(samples[state], finish({ kind: 'cancelled' }), at(NOW)).answer).toEqual({
        kind: 'not_held',
      })
      expect(step(samples[state], finish(outcome, 2), at(NOW)).answer).toEqual({ kind: 'not_held' })
    }
  })

  it('has nothing to say about a run that is not there', () => {
    for (const [name, command] of Object.entries(commands)) {
      if (name === 'create') continue
      expect(step(undefined, command, at(NOW))).toEqual({
        run: undefined,
        answer: { kind: 'absent' },
        effects: {},
      })
    }
  })
})

describe('a claim', () => {
  it('is given once, and repeated to whoever asks with the same nonce', () => {
    const before = running()
    expect(step(before, claim, at(NOW + 5)).answer).toEqual({ kind: 'claimed', epoch: 1, attempt: 1 })
    expect(step(before, { ...claim, nonce: 'n2' }, at(NOW + 5)).answer).toEqual({
      kind: 'refused',
      why: 'running',
    })
    expect(step(before, { ...claim, worker: 'w2' }, at(NOW + 5)).answer).toEqual({
      kind: 'refused',
      why: 'running',
    })
  })

  it('waits for the time of the run', () => {
    const before = born({ delayMs: 5_000 })
    expect(step(before, claim, at(NOW + 4_000)).answer).toEqual({
      kind: 'refused',
      why: 'not_before',
      retryAfterMs: 1_000,
    })
    expect(step(before, claim, at(NOW + 5_000)).run?.state).toBe('running')
  })

  it('tells the wake-up of a FIFO queue to come back', () => {
    const { answer } = step(running({ queue: 'mail.fifo' }), { ...claim, nonce: 'n2' }, at(NOW + 10_000))
    expect(answer).toEqual({ kind: 'refused', why: 'running', retryAfterMs: 20_000 })
  })

  it('lasts from the last beat, the uncertainty of the clock added', () => {
    const { run } = step(
      running(),
      { kind: 'beat', epoch: 1, leaseMs: 10_000 },
      at(NOW + 7_000, { slackMs: 500 }),
    )
    expect(run?.claim?.until).toBe(NOW + 17_500)
    expect(checkAt(run as Run)).toBe(NOW + 17_500)
  })
})

describe('what time does', () => {
  const look = (run: Run, now: number, more: Partial<Moment> = {}) =>
    step(run, { kind: 'check' }, at(now, more))

  it('takes a silent worker for dead, not a moment early', () => {
    const before = running()
    expect(look(before, NOW + LEASE - 1).run).toBe(before)
    const { run, effects } = look(before, NOW + LEASE)
    expect(run).toMatchObject({ state: 'queued', attempt: 1, epoch: 1, last: { epoch: 1, as: 'expired' } })
    expect(effects).toEqual({ wakeAt: NOW + LEASE })
    expect(step(run, finish({ kind: 'succeeded' }), at(NOW + LEASE)).answer).toEqual({ kind: 'not_held' })
  })

  it('forgives silence while nobody could be heard, and the uncertainty of the clock', () => {
    const before = running()
    expect(look(before, NOW + LEASE + 10, { heardSince: NOW + 11 }).run).toBe(before)
    expect(look(before, NOW + LEASE + 10, { slackMs: 11 }).run).toBe(before)
  })

  it('ends the run when no attempt is left, or the job wants that', () => {
    expect(look(running({ attempts: 1 }), NOW + LEASE).run?.state).toBe('lost')
    expect(look(running({ onLost: 'fail' }), NOW + LEASE).run?.state).toBe('lost')
  })

  it('ends an attempt that its living worker does not end, a lease after its time', () => {
    const overdue = (run: Run): Run => played(run, [{ kind: 'beat', epoch: 1, leaseMs: LEASE }, NOW + 35_000])
    const once = overdue(running({ timeoutMs: 10_000, attempts: 1 }))
    expect(look(once, NOW + 39_999).run).toBe(once)
    expect(look(once, NOW + 40_000).run?.state).toBe('timed_out')
    expect(look(overdue(running({ timeoutMs: 10_000 })), NOW + 40_000).run?.state).toBe('queued')
  })

  it('ends a cancelled run whose worker does not confirm, or is dead', () => {
    const asked = played(running(), [cancel, NOW + 20_000])
    const beaten = played(asked, [{ kind: 'beat', epoch: 1, leaseMs: LEASE }, NOW + 40_000])
    expect(look(beaten, NOW + 49_999).run).toBe(beaten)
    expect(look(beaten, NOW + 50_000).run).toMatchObject({
      state: 'cancelled',
      reason: 'enough (its worker did not confirm)',
    })
    expect(look(asked, NOW + 30_000).run?.state).toBe('cancelled')
  })

  it('counts anew when the clock was set back', () => {
    const before = running()
    const { run } = look(before, NOW - 3_600_000)
    expect(run?.claim?.until).toBe(NOW - 3_600_000 + LEASE)
    expect(run?.state).toBe('running')
  })

  it('wakes a queued run again that nobody took', () => {
    const before = born()
    expect(step(before, { kind: 'rouse', silentMs: 60_000 }, at(NOW + 59_999)).run).toBe(before)
    const { run, effects } = step(before, { kind: 'rouse', silentMs: 60_000 }, at(NOW + 60_000))
    expect(run).toMatchObject({ state: 'queued', wakes: 2 })
    expect(effects).toEqual({ wakeAt: NOW + 60_000 })
  })
})

describe('an attempt', () => {
  it('does not count when it is given back', () => {
    const { run, effects } = step(running(), finish({ kind: 'returned' }), at(NOW + 1))
    expect(run).toMatchObject({ state: 'queued', attempt: 0, epoch: 1 })
    expect(effects).toEqual({ wakeAt: NOW + 1 })
  })

  it('is retried after its delay while there are more, and then fails', () => {
    const retry = { ...failure, retryDelayMs: 5_000 }
    let run = born()
    for (const attempt of [1, 2, 3]) {
      run = played(run, [{ ...claim, nonce: `n${attempt}` }, NOW + attempt * 10_000])
      run = played(run, [finish(retry, attempt), NOW + attempt * 10_000])
    }
    expect(run).toMatchObject({ state: 'failed', attempt: 3, error: { message: 'no' } })
    expect(run.timeline.map(({ state }) => state)).toEqual([
      'queued', 'running', 'queued', 'running', 'queued', 'running', 'failed',
    ]) // prettier-ignore
  })

  it('keeps its wake-up on a FIFO queue', () => {
    const retry = { ...failure, retryDelayMs: 5_000 }
    const { answer, effects } = step(running({ queue: 'mail.fifo' }), finish(retry), at(NOW))
    expect(answer).toEqual({ kind: 'finished', retryAfterMs: 5_000 })
    expect(effects).toEqual({})
  })

  it('is not followed by another once somebody wants the run to end, whatever it says', () => {
    const asked = played(running(), [cancel])
    for (const outcome of [
      { ...failure, retryDelayMs: 5 },
      { kind: 'timed_out', retryDelayMs: 5 },
      { kind: 'returned' },
      { kind: 'cancelled' },
    ] as const) {
      expect(step(asked, finish(outcome), at(NOW)).run).toMatchObject({
        state: 'cancelled',
        reason: 'enough',
      })
    }
    expect(step(asked, finish({ kind: 'succeeded' }), at(NOW)).run?.state).toBe('succeeded')
  })

  it('hears of a cancel with its next beat, and by an order', () => {
    const { run, effects } = step(running(), cancel, at(NOW))
    expect(effects.order).toEqual({ worker: 'w1', epoch: 1, reason: 'enough' })
    expect(step(run, { kind: 'beat', epoch: 1, leaseMs: LEASE }, at(NOW)).answer).toEqual({
      kind: 'held',
      cancel: 'enough',
    } satisfies Answer)
    expect(step(run, { kind: 'cancel', by: 'bob' }, at(NOW)).run).toBe(run)
  })
})

describe('the log', () => {
  const lines = (count: number, bytes = 10) =>
    Array.from({ length: count }, (_, n) => ({ at: n, level: 1, text: String(n), bytes }))
  const log = (count: number, from?: number, bytes?: number): Command => ({
    kind: 'log',
    epoch: 1,
    lines: lines(count, bytes),
    from,
  })

  it('drops what a repetition says again', () => {
    const once = played(running(), [log(3, 0)])
    expect(step(once, log(3, 0), at(NOW)).run).toBe(once)
    const { effects, run } = step(once, log(3, 1), at(NOW))
    expect(effects.lines?.map(({ text }) => text)).toEqual(['2'])
    expect(run?.log).toMatchObject({ lines: 4, given: 4 })
  })

  it('is full at its bound of lines, and says so once', () => {
    const nearly = played(running(), [log(MAX_LOG_LINES - 2)])
    const { run, effects } = step(nearly, log(5), at(NOW))
    expect(effects).toMatchObject({ marker: true, lines: [{ text: '0' }] })
    expect(run?.log).toMatchObject({ lines: MAX_LOG_LINES, full: true })
    expect(step(run, log(5), at(NOW)).effects).toEqual({})
  })

  it('is full at its bound of bytes', () => {
    const { effects } = step(running(), log(2_000, 0, 8_000), at(NOW))
    expect(effects.marker).toBe(true)
    expect(effects.lines).toHaveLength(Math.floor((10 * 1024 * 1024) / 8_000))
  })

  it('belongs to the claim that is held', () => {
    expect(step(samples.succeeded, log(1), at(NOW)).run).toBe(samples.succeeded)
    expect(step(running(), { ...log(1), epoch: 7 } as Command, at(NOW)).answer).toEqual({ kind: 'not_held' })
  })
})

describe('an ended run', () => {
  it('is linked to its restart, once', () => {
    const link: Command = { kind: 'restarted', as: 'mail:2' }
    for (const state of runStates) {
      const { answer, run } = step(samples[state], link, at(NOW))
      expect(answer.kind).toBe(hasEnded(state) ? 'done' : 'conflict')
      if (hasEnded(state)) expect(step(run, link, at(NOW)).run).toBe(run)
    }
  })
})
