/**
 * Changes that people make to definitions. Each is one commit, with its audit entry, under the version of the schedule's record.
 *
 * Invariants:
 * - a change that leaves the times as they are leaves `next` as it is; one that changes them first has what is due seen to, so that
 *   nothing that was due falls between the old definition and the new one without a record;
 * - whatever is changed, no time that was decided about is decided about again (`settled`), not even after a clock was set back;
 * - a definition that says the same writes nothing.
 */
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { Change } from '../ports/store.ts'
import type { JobManifest } from '../runs/vocabulary.ts'
import type { SaveOptions, ScheduleDefinition, ScheduleInput, SchedulePatch } from './api.ts'
import { claim } from './claim.ts'
import {
  audit,
  commitState,
  newStamp,
  nowOf,
  problemOf,
  unknownSchedule,
  untilCommitted,
  type Context,
} from './context.ts'
import type { SchedulesServiceOptions } from './contract.ts'
import {
  checkFires,
  checkShape,
  definitionOf,
  invalid,
  maskedDefinition,
  patched,
  ruleOf,
  sameJson,
  sameTiming,
  withSecrets,
} from './definition.ts'
import {
  asJson,
  departure,
  loadAgain,
  rowKey,
  rowOf,
  transition,
  type Loaded,
  type Stored,
} from './records.ts'
import { saved } from './saved.ts'
import { anchorFor, timingOf } from './timing.ts'

export interface SavingContext extends Context {
  readonly objection: SchedulesServiceOptions['objection']
  readonly channels: SchedulesServiceOptions['channels']
}

export interface Saved {
  readonly stored: Omit<Stored, 'due'>
  readonly created: boolean
}

interface Wish {
  readonly name: string
  readonly by: string
  readonly action: 'create' | 'update' | 'pause' | 'resume'
  readonly reason?: string | undefined
  readonly unknownJob?: boolean | undefined
  /** The definition that is wished for. @throws when what is there forbids it */
  readonly of: (before: Stored | undefined) => ScheduleDefinition
}

export function put(context: SavingContext, input: ScheduleInput, options: SaveOptions): Promise<Saved> {
  const wanted = definitionOf(input)
  const { by, expect, unknownJob } = options
  const of: Wish['of'] = (before) => {
    if (expect === 'absent' && before !== undefined) {
      throw new SignalboxError(
        'conflict',
        `there is a schedule '${wanted.name}' already; choose another name, or update it`,
      )
    }
    if (typeof expect === 'number') checkRev(wanted.name, before, expect)
    return wanted
  }
  return save(context, { name: wanted.name, by, action: 'update', unknownJob, of })
}

export function update(
  context: SavingContext,
  name: string,
  patch: SchedulePatch,
  { by, expect, unknownJob }: Omit<SaveOptions, 'expect'> & { readonly expect?: number },
): Promise<Saved> {
  const of: Wish['of'] = (before) => {
    if (before === undefined) throw unknownSchedule(name)
    if (expect !== undefined) checkRev(name, before, expect)
    // Secrets that were meant for one job do not go to another unseen.
    const moves = patch.job !== undefined && patch.job !== before.definition.job
    const old = moves ? maskedDefinition(before.definition, before.secrets ?? []) : before.definition
    return patched(old, patch)
  }
  return save(context, { name, by, action: 'update', unknownJob, of })
}

/** Switches a schedule on or off. */
export function enable(
  context: SavingContext,
  name: string,
  enabled: boolean,
  { by, reason }: { readonly by: string; readonly reason?: string },
): Promise<Saved> {
  const of: Wish['of'] = (before) => {
    if (before === undefined) throw unknownSchedule(name)
    return { ...before.definition, enabled }
  }
  return save(context, { name, by, reason, action: enabled ? 'resume' : 'pause', of })
}

function checkRev(name: string, before: Stored | undefined, expect: number): void {
  if (before?.rev === expect) return
  const is = before === undefined ? 'it was deleted' : `its rev is ${before.rev}`
  throw new SignalboxError(
    'conflict',
    `schedule '${name}' was changed meanwhile: rev ${expect} was expected, ${is}; read it again and repeat`,
  )
}

async function save(context: SavingContext, wish: Wish): Promise<Saved> {
  const { name } = wish
  let stuck = false
  let tried: Omit<Stored, 'due'> | undefined
  return untilCommitted(context, `schedule '${name}'`, async (attempt): Promise<Saved | 'again'> => {
    const before = await loadAgain(context.store, name, attempt)
    if (tried !== undefined && before !== undefined && isWrittenBy(tried, before.stored)) {
      return { stored: before.stored, created: tried.rev === 1 }
    }
    const manifestOf = memo((job: string) => context.jobs.find(job))
    const wanted = await checked(context, wish, before?.stored, manifestOf)
    if (before !== undefined && sameJson(wanted, before.stored.definition)) {
      return { stored: before.stored, created: false }
    }
    const secrets = (await manifestOf(wanted.job))?.secrets ?? before?.stored.secrets
    // One now for both: no time comes due between them.
    const now = nowOf(context)
    if (!stuck && before !== undefined && isDue(context, before.stored, wanted, now)) {
      stuck = !(await seeToDue(context, name))
      return 'again'
    }
    const after = {
      ...saved(before?.stored, wanted, { ...wish, now, secrets }),
      stamp: newStamp(context.random),
    }
    tried = after
    const { ok } = await commitState(context, name, after.stamp, [
      ...transition(before, after, context),
      rowChange(before, after),
      audit(context, `schedules.${before === undefined ? 'create' : wish.action}`, name, told(wish)),
    ])
    if (!ok) {
      await refuseSameHash(context, name, before)
      return 'again'
    }
    if (after.next !== undefined) context.expect(after.next + context.graceMs)
    return { stored: after, created: before === undefined }
  })
}

/** Our commit, whose answer was lost, and after which the schedule fired. */
function isWrittenBy(tried: Omit<Stored, 'due'>, found: Stored): boolean {
  return (
    tried.rev === found.rev &&
    tried.updatedAt === found.updatedAt &&
    sameJson(tried.definition, found.definition)
  )
}

function told({ by, reason }: Wish): { readonly by: string; readonly reason?: string } {
  return { by, ...(reason === undefined ? {} : { reason }) }
}

/** @throws SignalboxError what is wrong with the wish */
async function checked(
  context: SavingContext,
  { of, unknownJob = false }: Wish,
  before: Stored | undefined,
  manifestOf: (job: string) => Promise<JobManifest | undefined>,
): Promise<ScheduleDefinition> {
  const old = before?.definition
  const bare = of(before)
  checkShape(bare)
  const manifest = await manifestOf(bare.job)
  const secrets = [...new Set([...(manifest?.secrets ?? []), ...(before?.secrets ?? [])])]
  const wanted = withSecrets(bare, old, secrets)
  if (old === undefined || old.job !== wanted.job || !sameJson(old.parameters, wanted.parameters)) {
    checkJob(wanted, manifest, unknownJob)
  }
  if (!sameJson(old?.notify, wanted.notify)) checkChannels(wanted, context.channels)
  if (old === undefined || !sameTiming(old, wanted)) {
    const now = nowOf(context)
    checkFires(timingOf(wanted, anchorFor(wanted, now)), wanted, now)
    const objection = context.objection?.(ruleOf(wanted))
    if (objection !== undefined) throw invalid('expression', objection)
  }
  return wanted
}

function checkJob(wanted: ScheduleDefinition, manifest: JobManifest | undefined, unknownJob: boolean): void {
  if (manifest === undefined) {
    if (unknownJob) return
    throw new SignalboxError(
      'not_found',
      `there is no job '${wanted.job}'; start a worker that runs it ('signalbox job list' shows the known ones), or save it all the same (--unknown-job, ?unknownJob=true)`,
    )
  }
  const problem = problemOf(wanted, manifest)
  if (problem !== undefined) throw invalid('parameters', problem)
}

function checkChannels({ notify }: ScheduleDefinition, known: SavingContext['channels']): void {
  const unknown = notify?.channels.find((channel) => known?.includes(channel) === false)
  if (unknown === undefined || known === undefined) return
  const there = known.length === 0 ? 'none is configured' : `there are ${known.join(', ')}`
  throw invalid('notify', `notify: there is no channel '${unknown}'; ${there} (notifications.channels)`)
}

/** Is something due that the change would lose? */
function isDue(
  { external, off }: Context,
  { next, definition }: Stored,
  wanted: ScheduleDefinition,
  now: number,
): boolean {
  if (off || next === undefined || next > now) return false
  // When somebody else's rate fires only they know.
  if (external && definition.expression.startsWith('rate(')) return false
  return !wanted.enabled || !sameTiming(definition, wanted)
}

/** @returns false: it cannot, for another reason than the store; that must not keep the schedule from being mended */
async function seeToDue(context: Context, name: string): Promise<boolean> {
  try {
    await claim(context, name, 0)
    return true
  } catch (error) {
    if (isSignalboxError(error, 'unavailable') || isSignalboxError(error, 'throttled')) throw error
    if (isSignalboxError(error, 'outcome_unknown')) throw error
    context.event({ kind: 'failed', schedule: name, error })
    return false
  }
}

function rowChange(
  before: Loaded | undefined,
  { definition, anchor }: Pick<Stored, 'definition' | 'anchor'>,
): Change {
  const value = asJson(rowOf(definition, anchor))
  return {
    op: 'put',
    key: rowKey(definition.name),
    expect: before === undefined ? 'absent' : 'present',
    value,
  }
}

/** @throws SignalboxError `conflict` for two names with one hash, which nobody will see */
async function refuseSameHash({ store }: Context, name: string, before: Loaded | undefined): Promise<void> {
  if (before !== undefined) return
  const row = await store.get(rowKey(name))
  if (row === undefined || (row.value as { readonly name?: string }).name === name) return
  throw new SignalboxError('conflict', `schedule '${name}': its name cannot be kept; choose another`)
}

export async function remove(context: Context, name: string, { by }: { readonly by: string }): Promise<void> {
  let tried = false
  await untilCommitted(context, `schedule '${name}'`, async (attempt) => {
    const before = await loadAgain(context.store, name, attempt)
    if (before === undefined) {
      // Ours, whose answer was lost, or somebody else's at the same moment.
      if (tried) return undefined
      throw unknownSchedule(name)
    }
    tried = true
    try {
      const { ok } = await context.store.commit([
        ...departure(before),
        audit(context, 'schedules.delete', name, { by }),
      ])
      if (!ok) return 'again'
    } catch (error) {
      if (isSignalboxError(error, 'outcome_unknown')) return 'again'
      throw error
    }
    if (before.stored.held !== undefined) context.holds(name)
    return undefined
  })
}

function memo<T>(read: (key: string) => Promise<T>): (key: string) => Promise<T> {
  const known = new Map<string, Promise<T>>()
  return (key) => {
    const one = known.get(key) ?? read(key)
    known.set(key, one)
    return one
  }
}
