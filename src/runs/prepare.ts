/** From what the rules decided to the changes of one commit: the run's record, its index records, live, out, log and orders. Pure but for keys. */
import { decimalKey, type Change, type Json, type Version } from '../ports/store.ts'
import type { GrowingKeys, TimedKeys } from './keys.ts'
import { timeOf } from './keys.ts'
import {
  asJson,
  chunkChanges,
  hasParts,
  indexChanges,
  inputKey,
  isLarge,
  keptUntil,
  livePartition,
  orderChange,
  outPartition,
  putRun,
  resultKey,
  shardOf,
  type LoggedPart,
  type Out,
  type Stored,
} from './records.ts'
import { checkAt, type Effects } from './rules.ts'
import type { Run } from './state.ts'
import { sweptAt } from './dispatcher.ts'
import { inputSummary } from './masking.ts'

export interface Keys {
  readonly places: GrowingKeys
  readonly timed: TimedKeys
}

export interface Loaded {
  readonly stored: Stored
  readonly version: Version
}

/** What a batch of commands made of a run. */
export interface Made {
  readonly run: Run
  readonly effects: readonly (Effects & { readonly attempt: number })[]
  /** Of a run that was created now. */
  readonly input?: Json
  readonly mark?: string
  /** Of a run that succeeded now. */
  readonly result?: Json | undefined
}

/**
 * Changes that shall be committed together with a change of a run's state: few, without the run's own keys, and made anew for each
 * attempt of the commit. Must not throw.
 * @param before undefined: it is created
 */
export type Beside = (before: Run | undefined, after: Run) => readonly Change[]

export interface Prepared {
  readonly stored: Stored
  readonly changes: readonly Change[]
  /** The wake-up to send once this is committed. */
  readonly out?: { readonly key: number; readonly out: Out }
}

/** `live` may lie this much later than what it stands for before it is moved for being late. */
const LIVE_SLACK_MS = 1_000

export interface PrepareOptions {
  readonly keys: Keys
  readonly now: number
  readonly stamp: string
  /** The index record's place was taken by another run: take a new one. */
  readonly newPlace?: boolean
  readonly beside?: Beside | undefined
}

/** The first change is the run's record. */
export function prepare(before: Loaded | undefined, made: Made, options: PrepareOptions): Prepared {
  const { keys, now, stamp, newPlace = false } = options
  const { run } = made
  const base = before?.stored ?? newborn(made, keys.places.next(run.createdAt))
  const beside: Change[] = []
  const changed: Stored = {
    ...base,
    run,
    stamp,
    ...(newPlace ? { place: keys.places.next(run.createdAt) } : {}),
    ...(made.result === undefined ? {} : { result: isLarge(made.result) ? 'apart' : { json: made.result } }),
  }
  const of = { id: run.id, born: base.born }
  if (before === undefined && base.input === undefined && made.input !== undefined) {
    beside.push({ op: 'put', key: inputKey(of), expect: 'absent', value: made.input })
  }
  if (changed.result === 'apart' && made.result !== undefined) {
    beside.push({ op: 'put', key: resultKey(of), expect: 'absent', value: made.result })
  }
  beside.push(...chunkChanges(of, logged(before?.stored.run, made)))
  for (const { order } of made.effects) {
    if (order === undefined) continue
    const { worker, epoch, reason } = order
    beside.push(orderChange(worker, { id: run.id, epoch, reason }, keys.timed.next(now), now))
  }
  const live = moveLive(base, changed, { keys, now })
  const { live: _, ...rest } = changed
  const stored: Stored = live.key === undefined ? rest : { ...rest, live: live.key }
  const out = wakeUp(made, base.born, keys, now)
  const was = before?.stored.run
  const more = was?.state === run.state ? [] : (options.beside?.(was, run) ?? [])
  const changes = [
    putRun(stored, before === undefined ? 'absent' : { version: before.version }),
    ...indexChanges(before?.stored, stored),
    ...live.changes,
    ...beside,
    ...(out === undefined ? [] : [outChange(out)]),
    ...more,
  ]
  return { stored, changes, ...(out === undefined ? {} : { out }) }
}

function newborn({ run, input = null, mark = '' }: Made, place: number): Stored {
  const summary = inputSummary(input, run.secrets)
  return {
    run,
    place,
    born: place,
    mark,
    stamp: '',
    ...(isLarge(input) ? {} : { input: { json: input } }),
    ...(summary === undefined ? {} : { summary }),
  }
}

/** Lines of this batch, with the numbers they get. */
function logged(before: Run | undefined, { effects }: Made): LoggedPart[] {
  let n = (before?.log?.lines ?? 0) + 1
  return effects.flatMap(({ attempt, lines = [], marker = false }) => {
    const text = 'The log is full; what follows is not kept.'
    const all = marker ? [...lines, { at: lines.at(-1)?.at ?? 0, level: 2, text, bytes: 80 }] : lines
    const part = { attempt, n, lines: all }
    n += all.length
    return all.length === 0 ? [] : [part]
  })
}

/** When time alone concerns the run next: see `checkAt`, and the end of its retention if it has parts. */
export function liveAt(stored: Stored): number | undefined {
  return checkAt(stored.run) ?? (hasParts(stored) ? keptUntil(stored.run) : undefined)
}

/** Has the run to stand elsewhere in `live`? Beats do not move it: a look at it does. */
export function liveIsOff(stored: Stored, now: number): boolean {
  const target = liveAt(stored)
  if (target === undefined || stored.live === undefined)
    return (target === undefined) !== (stored.live === undefined)
  const at = timeOf(stored.live)
  return target < at - LIVE_SLACK_MS || (at <= now && target > at)
}

function moveLive(
  before: Stored,
  after: Stored,
  { keys, now }: { readonly keys: Keys; readonly now: number },
): { readonly key?: number; readonly changes: readonly Change[] } {
  const { live } = before
  const claimed = before.run.epoch !== after.run.epoch || before.run.state !== after.run.state
  if (!liveIsOff(after, now) && !(claimed && live !== undefined)) {
    return { ...(live === undefined ? {} : { key: live }), changes: [] }
  }
  const target = liveAt(after)
  const partition = livePartition(shardOf(after.run.id))
  const changes: Change[] =
    live === undefined ? [] : [{ op: 'delete', key: [partition, decimalKey(live)], expect: 'present' }]
  if (target === undefined) return { changes }
  const key = keys.timed.next(target)
  const value = asJson({ id: after.run.id, born: after.born })
  changes.push({ op: 'put', key: [partition, decimalKey(key)], expect: 'absent', value })
  return { key, changes }
}

function wakeUp({ run, effects }: Made, born: number, { timed }: Keys, now: number): Prepared['out'] {
  const wakeAt = effects.findLast((effect) => effect.wakeAt !== undefined)?.wakeAt
  if (run.state !== 'queued' || wakeAt === undefined) return undefined
  const { id, queue, group, wakes } = run
  const out: Out = {
    id,
    born,
    queue,
    ...(group === undefined ? {} : { group }),
    dueAt: Math.ceil(wakeAt),
    wake: wakes,
    tries: 0,
  }
  return { key: timed.next(sweptAt(out, now)), out }
}

export function outChange({ key, out }: { readonly key: number; readonly out: Out }): Change {
  return {
    op: 'put',
    key: [outPartition(shardOf(out.id)), decimalKey(key)],
    expect: 'absent',
    value: asJson(out),
  }
}
