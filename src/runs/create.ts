/**
 * Creating runs: many with few commits, as their ids are new nearly always. A commit that meets one which is there already, or whose
 * answer is lost, is made anew run by run through the mailboxes, where creating is idempotent.
 */
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import type { Store } from '../ports/store.ts'
import type { CreatedRun } from './api-views.ts'
import type { Mailboxes } from './mailboxes.ts'
import type { NamedRun } from './new-run.ts'
import { prepare, type Beside, type Keys, type Prepared } from './prepare.ts'
import { step } from './rules.ts'
import { rowOfRun } from './views.ts'

export interface CreatingContext {
  readonly store: Store
  readonly random: Random
  readonly mailboxes: Mailboxes
  readonly keys: Keys
  readonly beside?: Beside | undefined
  readonly retentionMs: number
}

interface Making {
  readonly run: NamedRun
  readonly mark: string
  readonly prepared: Prepared
  readonly bytes: number
}

/** In the order of `runs`; a run whose id is there already is answered as it is. */
export async function createRuns(context: CreatingContext, runs: readonly NamedRun[]): Promise<CreatedRun[]> {
  const first = new Map<string, Making>()
  for (const run of runs) if (!first.has(run.id)) first.set(run.id, makingOf(context, run))
  const created = new Map<string, CreatedRun>()
  const packs = packed([...first.values()], context.store.limits)
  await Promise.all(
    packs.map(async (pack) => {
      const made =
        (await commitPack(context, pack)) ?? (await Promise.all(pack.map((one) => createOne(context, one))))
      for (const one of made) created.set(one.run.id, one)
    }),
  )
  const told = new Set<string>()
  return runs.map(({ id }) => {
    const one = created.get(id)
    if (one === undefined) throw new SignalboxError('internal', `run ${id} was created without an answer`)
    const again = told.has(id)
    told.add(id)
    return again ? { ...one, created: false } : one
  })
}

/** What commits a run that is not there yet. */
export function makeRun(context: CreatingContext, run: NamedRun, mark: string): Prepared {
  const { mailboxes, keys, beside, retentionMs } = context
  const moment = mailboxes.moment()
  const command = { kind: 'create', run, retentionMs: run.retentionMs ?? retentionMs } as const
  const stepped = step(undefined, command, moment)
  if (stepped.run === undefined) throw new SignalboxError('internal', 'creating a run made none')
  const effects = [{ ...stepped.effects, attempt: 0 }]
  const made = { run: stepped.run, effects, input: run.input, mark }
  return prepare(undefined, made, { keys, now: moment.now, stamp: mailboxes.stamp(), beside })
}

function makingOf(context: CreatingContext, run: NamedRun): Making {
  const mark = context.random.id().slice(0, 12)
  const prepared = makeRun(context, run, mark)
  const bytes = prepared.changes.reduce(
    (sum, change) => sum + (change.op === 'put' ? 3 * JSON.stringify(change.value).length : 0),
    0,
  )
  return { run, mark, prepared, bytes }
}

function packed(all: readonly Making[], limits: Store['limits']): Making[][] {
  const packs: Making[][] = []
  let changes = 0
  let bytes = 0
  for (const one of all) {
    const pack = packs.at(-1)
    const own = one.prepared.changes.length
    if (pack === undefined || changes + own > limits.changes || bytes + one.bytes > limits.commitBytes) {
      packs.push([one])
      changes = own
      bytes = one.bytes
    } else {
      pack.push(one)
      changes += own
      bytes += one.bytes
    }
  }
  return packs
}

/** @returns undefined when the runs have to be looked at one by one */
async function commitPack(
  { store, mailboxes }: CreatingContext,
  pack: Making[],
): Promise<CreatedRun[] | undefined> {
  try {
    const result = await store.commit(pack.flatMap(({ prepared }) => prepared.changes))
    if (!result.ok) return undefined
    let at = 0
    return pack.map(({ prepared }) => {
      mailboxes.adopt(prepared, result.versions[at])
      at += prepared.changes.length
      return { run: rowOfRun(prepared.stored), created: true }
    })
  } catch (error) {
    if (isSignalboxError(error, 'outcome_unknown') || isSignalboxError(error, 'throttled')) return undefined
    throw error
  }
}

async function createOne(
  { mailboxes, retentionMs }: CreatingContext,
  { run, mark }: Making,
): Promise<CreatedRun> {
  const command = { kind: 'create', run, retentionMs: run.retentionMs ?? retentionMs } as const
  const { answer, stored } = await mailboxes.submit(run.id, { command, mark })
  if (stored === undefined || answer.kind !== 'done') {
    throw new SignalboxError('internal', `run ${run.id} was not created`)
  }
  return { run: rowOfRun(stored), created: answer.changed }
}
