/**
 * What may happen to a run: `(run, command, moment) → run, answer, effects`. Pure; the mailbox commits what comes of it under
 * the version of the run's record, so that two servers on one store decide one after the other.
 *
 *                 claim: epoch + 1, attempt + 1
 *   queued ─────────────────────────────────────▶ running ──finish──▶ succeeded | failed | timed_out | cancelled
 *    ▲  │                                          │   │
 *    │  └─cancel─▶ cancelled                       │   ├─ claim expired, onLost fail or no attempt left ─▶ lost
 *    │                                             │   ├─ overdue, though its worker lives, no attempt left ─▶ timed_out
 *    └── retry (not before), returned (attempt − 1) ◀─┘   └─ cancel unheard for a lease, or its worker dead ─▶ cancelled
 *        expired, onLost retry
 *
 *   A queued run may be held from its creation on: nobody is woken for it and no claim gets it before its release, which decides on the
 *   wake-up. Nothing is held again.
 *
 *   skipped: recorded with its reason; never anything else.
 *
 * Invariants:
 * - only a run's present claim, which its epoch names, can change a running run; so a worker that comes back from the dead
 *   changes nothing;
 * - of the outcomes for one epoch exactly one is taken; the same one again is answered as the first was;
 * - an ended run stays as it is (only a link to its restart is added); `epoch` and `rev` never go back;
 * - whatever makes a run queued and does not hold it decides on a wake-up in the same commit, except where the worker keeps the one it
 *   has (FIFO);
 * - a claim is not taken for expired before a whole lease in which this server could have heard a beat.
 */
import { hasEnded, type KeptLine, type Run, type Step } from './state.ts'
import {
  MAX_LOG_BYTES,
  MAX_LOG_LINES,
  type EndState,
  type NewRun,
  type Outcome,
  type Progress,
  type RunError,
} from './vocabulary.ts'
import { isFifo } from './wake-up.ts'

export type Command =
  | { readonly kind: 'create'; readonly run: NewRun & { readonly id: string }; readonly retentionMs: number }
  | { readonly kind: 'claim'; readonly worker: string; readonly leaseMs: number; readonly nonce: string }
  | {
      readonly kind: 'beat'
      readonly epoch: number
      readonly leaseMs: number
      readonly progress?: Progress | undefined
    }
  | { readonly kind: 'finish'; readonly epoch: number; readonly outcome: Outcome }
  | {
      readonly kind: 'log'
      readonly epoch: number
      readonly lines: readonly KeptLine[]
      readonly from?: number | undefined
    }
  | { readonly kind: 'cancel'; readonly by: string; readonly reason?: string | undefined }
  | { readonly kind: 'restarted'; readonly as: string }
  /** What time alone does. */
  | { readonly kind: 'check' }
  /** Lets a held run go. */
  | { readonly kind: 'release' }
  /** The wake-up of a queued run may be gone. */
  | { readonly kind: 'rouse'; readonly silentMs: number }

export interface Moment {
  readonly now: number
  /** How far the store's clock may be off. */
  readonly slackMs: number
  /** Since when this server hears beats: its start, or the end of an outage. */
  readonly heardSince: number
}

export type Answer =
  | { readonly kind: 'done'; readonly changed: boolean }
  | { readonly kind: 'absent' }
  | { readonly kind: 'claimed'; readonly epoch: number; readonly attempt: number }
  | {
      readonly kind: 'refused'
      readonly why: 'finished' | 'running' | 'not_before'
      readonly retryAfterMs?: number
    }
  | { readonly kind: 'held'; readonly cancel?: string }
  | { readonly kind: 'not_held' }
  | { readonly kind: 'finished'; readonly retryAfterMs?: number }
  | { readonly kind: 'conflict' }

export interface Effects {
  /** Wake a worker, at this time. */
  readonly wakeAt?: number
  /** Lines to append. */
  readonly lines?: readonly KeptLine[]
  /** The log is full: a line that says so. */
  readonly marker?: boolean
  /** Tell the worker to stop. */
  readonly order?: { readonly worker: string; readonly epoch: number; readonly reason: string }
}

export interface Stepped {
  readonly run: Run | undefined
  readonly answer: Answer
  readonly effects: Effects
}

const MAX_STEPS = 50
const MAX_NOTE = 200
/** When to ask again for a run that is held; it may be held for longer. */
const HELD_MS = 60_000

/** @param run undefined: there is none of this id */
export function step(run: Run | undefined, command: Command, moment: Moment): Stepped {
  if (command.kind === 'create') return create(run, command, moment)
  if (run === undefined) return same(run, { kind: 'absent' })
  switch (command.kind) {
    case 'claim':
      return claim(run, command, moment)
    case 'beat':
      return beat(run, command, moment)
    case 'finish':
      return finish(run, command, moment)
    case 'log':
      return log(run, command)
    case 'cancel':
      return cancel(run, command, moment)
    case 'restarted':
      if (!hasEnded(run.state)) return same(run, { kind: 'conflict' })
      if (run.restartedAs === command.as) return same(run, { kind: 'done', changed: false })
      return changed({ ...run, restartedAs: command.as }, done)
    case 'check':
      return check(run, moment)
    case 'release':
      return release(run, moment)
    case 'rouse':
      return rouse(run, command.silentMs, moment)
  }
}

/** When time alone may do something to the run; undefined: never. */
export function checkAt({ state, claim, cancel, startedAt = 0, timeoutMs }: Run): number | undefined {
  if (state !== 'running' || claim === undefined) return undefined
  const ends = [claim.until]
  if (cancel !== undefined) ends.push(cancel.at + claim.leaseMs)
  if (timeoutMs !== undefined) ends.push(startedAt + timeoutMs + claim.leaseMs)
  return Math.min(...ends)
}

const done: Answer = { kind: 'done', changed: true }

function same(run: Run | undefined, answer: Answer): Stepped {
  return { run, answer, effects: {} }
}

function changed(run: Run, answer: Answer, effects: Effects = {}): Stepped {
  return { run: { ...run, rev: run.rev + 1 }, answer, effects }
}

function create(
  existing: Run | undefined,
  { run, retentionMs }: Command & { readonly kind: 'create' },
  { now }: Moment,
): Stepped {
  if (existing !== undefined) return same(existing, { kind: 'done', changed: false })
  const { id, job, queue, source, attempts, onLost, delayMs = 0, skipped, hold } = run
  const dueAt = now + Math.ceil(delayMs)
  const state = skipped === undefined ? 'queued' : 'skipped'
  const wakes = skipped === undefined && hold === undefined
  const note = skipped ?? hold
  const created: Run = {
    id,
    job,
    queue,
    state,
    source,
    createdAt: now,
    rev: 1,
    epoch: 0,
    attempt: 0,
    attempts,
    onLost,
    ...picked(run, ['timeoutMs', 'group', 'schedule', 'scheduledAt', 'restartOf', 'secrets']),
    retentionMs,
    wakes: wakes ? 1 : 0,
    wokenAt: now,
    ...(skipped === undefined ? picked(run, ['hold']) : { reason: skipped, endedAt: now }),
    ...(skipped === undefined && delayMs > 0 ? { notBefore: dueAt } : {}),
    timeline: [{ at: now, state, attempt: 0, ...(note === undefined ? {} : { note: noted(note) }) }],
  }
  return { run: created, answer: done, effects: wakes ? { wakeAt: dueAt } : {} }
}

function claim(
  run: Run,
  { worker, leaseMs, nonce }: Command & { readonly kind: 'claim' },
  { now, slackMs }: Moment,
): Stepped {
  if (hasEnded(run.state)) return same(run, { kind: 'refused', why: 'finished' })
  if (run.state === 'running') {
    const { claim: held, epoch, attempt } = run
    if (held?.nonce === nonce && held.worker === worker) {
      return same(run, { kind: 'claimed', epoch, attempt })
    }
    const keep = isFifo(run.queue) ? { retryAfterMs: Math.max((held?.until ?? now) - now, 1_000) } : {}
    return same(run, { kind: 'refused', why: 'running', ...keep })
  }
  // Nobody was woken for it; a wake-up from elsewhere may come again, but its release sends one too.
  if (run.hold !== undefined) return same(run, { kind: 'refused', why: 'not_before', retryAfterMs: HELD_MS })
  if (run.notBefore !== undefined && now < run.notBefore) {
    return same(run, { kind: 'refused', why: 'not_before', retryAfterMs: Math.ceil(run.notBefore - now) })
  }
  const { notBefore: _, progress: _before, ...rest } = run
  const epoch = run.epoch + 1
  const attempt = run.attempt + 1
  const claimed: Run = {
    ...rest,
    state: 'running',
    epoch,
    attempt,
    worker,
    startedAt: now,
    claim: { worker, nonce, leaseMs, until: now + slackMs + leaseMs },
    timeline: noting(run, { at: now, state: 'running', attempt, worker }),
  }
  return changed(claimed, { kind: 'claimed', epoch, attempt })
}

function beat(
  run: Run,
  { epoch, leaseMs, progress }: Command & { readonly kind: 'beat' },
  { now, slackMs }: Moment,
): Stepped {
  if (run.state !== 'running' || run.epoch !== epoch || run.claim === undefined) {
    return same(run, { kind: 'not_held' })
  }
  const beaten: Run = {
    ...run,
    claim: { ...run.claim, leaseMs, until: now + slackMs + leaseMs },
    ...(progress === undefined ? {} : { progress }),
  }
  const stop = run.cancel === undefined ? {} : { cancel: cancelReason(run.cancel) }
  return changed(beaten, { kind: 'held', ...stop })
}

function cancelReason({ by, reason }: NonNullable<Run['cancel']>): string {
  return reason ?? `cancelled by ${by}`
}

function finish(
  run: Run,
  { epoch, outcome }: Command & { readonly kind: 'finish' },
  { now }: Moment,
): Stepped {
  if (run.state !== 'running' || run.epoch !== epoch) {
    const { last } = run
    if (last?.epoch !== epoch || last.as !== outcome.kind) return same(run, { kind: 'not_held' })
    return same(run, { kind: 'finished', ...keptWakeUp(run, now) })
  }
  const ending = { ...run, last: { epoch, as: outcome.kind } }
  switch (outcome.kind) {
    case 'succeeded': {
      const { error: _, ...clean } = ending
      return finished(ended(clean, 'succeeded', now))
    }
    case 'cancelled': {
      const reason = run.cancel === undefined ? outcome.reason : cancelReason(run.cancel)
      return finished(ended(ending, 'cancelled', now, reason))
    }
    case 'returned':
      if (run.cancel !== undefined) return finished(ended(ending, 'cancelled', now, cancelReason(run.cancel)))
      return requeued({ ...ending, attempt: run.attempt - 1 }, now, now, 'given back')
    case 'failed':
      return failed({ ...ending, error: outcome.error }, 'failed', outcome.retryDelayMs, now)
    case 'timed_out': {
      const message = run.timeoutMs === undefined ? 'timed out' : `timed out after ${run.timeoutMs} ms`
      return failed({ ...ending, error: { message } }, 'timed_out', outcome.retryDelayMs, now)
    }
  }
}

/** An attempt that failed: once more, or the end. Nothing runs again that somebody wants to end. */
function failed(
  run: Run & { readonly error: RunError },
  as: 'failed' | 'timed_out',
  retryDelayMs: number | undefined,
  now: number,
): Stepped {
  if (run.cancel !== undefined) return finished(ended(run, 'cancelled', now, cancelReason(run.cancel)))
  if (retryDelayMs === undefined || run.attempt >= run.attempts) return finished(ended(run, as, now))
  return requeued(run, now + Math.ceil(retryDelayMs), now, run.error.message)
}

function finished(run: Run): Stepped {
  return changed(run, { kind: 'finished' })
}

function requeued(run: Run, dueAt: number, now: number, note: string, byTime = false): Stepped {
  const { claim: _, notBefore: _before, ...rest } = run
  // A dead worker's wake-up comes back by itself too, but nobody knows when.
  const wakes = byTime || !isFifo(run.queue)
  const queued: Run = {
    ...rest,
    state: 'queued',
    ...(dueAt > now ? { notBefore: dueAt } : {}),
    ...(wakes ? { wakes: run.wakes + 1, wokenAt: now } : {}),
    timeline: noting(run, { at: now, state: 'queued', attempt: run.attempt, note: noted(note) }),
  }
  return changed(queued, { kind: 'finished', ...keptWakeUp(queued, now) }, wakes ? { wakeAt: dueAt } : {})
}

function keptWakeUp(run: Run, now: number): { readonly retryAfterMs?: number } {
  if (run.state !== 'queued' || !isFifo(run.queue)) return {}
  return { retryAfterMs: Math.max(0, Math.ceil((run.notBefore ?? now) - now)) }
}

function ended(run: Run, state: EndState, now: number, reason?: string): Run {
  const { claim: _, notBefore: _before, hold: _held, reason: _old, ...rest } = run
  const note = reason ?? (state === 'succeeded' ? undefined : run.error?.message)
  return {
    ...rest,
    state,
    endedAt: Math.max(now, run.createdAt),
    ...(reason === undefined ? {} : { reason }),
    timeline: noting(run, {
      at: now,
      state,
      attempt: run.attempt,
      ...(note === undefined ? {} : { note: noted(note) }),
    }),
  }
}

function log(run: Run, { epoch, lines, from }: Command & { readonly kind: 'log' }): Stepped {
  if (run.state !== 'running' || run.epoch !== epoch) return same(run, { kind: 'not_held' })
  const before = run.log ?? { lines: 0, bytes: 0, epoch, given: 0 }
  const given = before.epoch === epoch ? before.given : 0
  const fresh = from === undefined ? lines : lines.slice(Math.max(0, given - from))
  if (fresh.length === 0) return same(run, { kind: 'held' })
  const state = { ...before, epoch, given: Math.max(given, from ?? given) + fresh.length }
  if (before.full === true) return changed({ ...run, log: state }, { kind: 'held' })
  let { lines: count, bytes } = before
  let fits = 0
  for (const line of fresh) {
    // The last line is the marker's.
    if (count >= MAX_LOG_LINES - 1 || bytes + line.bytes > MAX_LOG_BYTES) break
    count += 1
    bytes += line.bytes
    fits += 1
  }
  const marker = fits < fresh.length
  const next: Run = {
    ...run,
    log: { ...state, lines: count + (marker ? 1 : 0), bytes, ...(marker ? { full: true } : {}) },
  }
  return changed(next, { kind: 'held' }, { lines: fresh.slice(0, fits), marker })
}

function cancel(run: Run, { by, reason }: Command & { readonly kind: 'cancel' }, { now }: Moment): Stepped {
  if (hasEnded(run.state) || run.cancel !== undefined) return same(run, { kind: 'done', changed: false })
  const order = { at: now, by, ...(reason === undefined ? {} : { reason }) }
  const asked: Run = { ...run, cancel: order }
  const why = cancelReason(order)
  if (run.state === 'queued') return changed(ended(asked, 'cancelled', now, why), done)
  const worker = run.claim?.worker
  return changed(
    asked,
    done,
    worker === undefined ? {} : { order: { worker, epoch: run.epoch, reason: why } },
  )
}

function check(run: Run, { now, slackMs, heardSince }: Moment): Stepped {
  const { claim: held, cancel: order, timeoutMs, startedAt = 0 } = run
  if (run.state !== 'running' || held === undefined) return same(run, { kind: 'done', changed: false })
  const sure = now - slackMs
  if (held.until > now + slackMs + 2 * held.leaseMs) {
    // The clock was set back since the last beat; what is left counts by the new one.
    return changed({ ...run, claim: { ...held, until: now + slackMs + held.leaseMs } }, done)
  }
  const expired: Run = { ...run, last: { epoch: run.epoch, as: 'expired' } }
  const silent = sure >= Math.max(held.until, heardSince + held.leaseMs)
  if (order !== undefined && (silent || sure >= order.at + held.leaseMs)) {
    return changed(
      ended(expired, 'cancelled', now, `${cancelReason(order)} (its worker did not confirm)`),
      done,
    )
  }
  if (silent) {
    const message = `worker ${held.worker} was not heard of for ${held.leaseMs} ms`
    const lost = { ...expired, error: { message } }
    if (run.onLost === 'fail' || run.attempt >= run.attempts) return changed(ended(lost, 'lost', now), done)
    return requeued(lost, now, now, message, true)
  }
  if (timeoutMs !== undefined && sure >= Math.max(startedAt + timeoutMs, heardSince) + held.leaseMs) {
    const message = `timed out after ${timeoutMs} ms, and worker ${held.worker} did not stop it`
    const late = { ...expired, error: { message } }
    if (run.attempt >= run.attempts) return changed(ended(late, 'timed_out', now), done)
    return requeued(late, now, now, message, true)
  }
  return same(run, { kind: 'done', changed: false })
}

function release(run: Run, { now }: Moment): Stepped {
  const { hold, ...rest } = run
  if (run.state !== 'queued' || hold === undefined) return same(run, { kind: 'done', changed: false })
  const released: Run = {
    ...rest,
    wakes: run.wakes + 1,
    wokenAt: now,
    timeline: noting(run, { at: now, state: 'queued', attempt: run.attempt, note: 'released' }),
  }
  return changed(released, done, { wakeAt: Math.max(now, run.notBefore ?? now) })
}

function rouse(run: Run, silentMs: number, { now }: Moment): Stepped {
  const due = Math.max(run.wokenAt, run.notBefore ?? 0)
  if (run.state !== 'queued' || run.hold !== undefined || now < due + silentMs)
    return same(run, { kind: 'done', changed: false })
  return changed({ ...run, wakes: run.wakes + 1, wokenAt: now }, done, { wakeAt: now })
}

function noting({ timeline }: Run, next: Step): readonly Step[] {
  return [...timeline, next].slice(-MAX_STEPS)
}

function noted(text: string): string {
  return text.length > MAX_NOTE ? `${text.slice(0, MAX_NOTE)}…` : text
}

/** Those of the fields that are there. */
function picked<T extends object, K extends keyof T>(
  from: T,
  names: readonly K[],
): { [P in K]?: Exclude<T[P], undefined> } {
  return Object.fromEntries(
    names.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]]])),
  ) as { [P in K]?: Exclude<T[P], undefined> }
}
