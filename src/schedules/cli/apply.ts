/**
 * `schedule apply` and `schedule export`: schedules kept in a file.
 *
 * Invariants: everything is checked before the first write, as far as this side can know it; what is as the file says is not written;
 * a schedule that somebody else changed meanwhile is a conflict, not overwritten.
 */
import type { SchedulesConnection } from '../../cli/schedules-context.ts'
import { schedulePatch, type SchedulePatch, type SchedulesApi, type ScheduleView } from '../api.ts'
import { checkSteps, orNothing } from './check-steps.ts'
import { definitionOfView, entryOf, same, type Wanted } from './file.ts'

export interface ApplyOptions {
  /** Delete those that the file does not name. */
  readonly prune: boolean
  /** Only tell. */
  readonly dryRun: boolean
  /** Save also those whose job nobody has told of yet. */
  readonly unknownJob: boolean
  readonly by: string
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Said before anything is written. */
  readonly warn: (text: string) => void
}

type Change = 'created' | 'updated' | 'unchanged' | 'deleted'
export interface Applied {
  readonly name: string
  readonly change: Change
}

/** What is to be done for one schedule of the file. */
export type Step =
  | { readonly change: 'created' | 'unchanged'; readonly wanted: Wanted }
  | {
      readonly change: 'updated'
      readonly wanted: Wanted
      readonly view: ScheduleView
      readonly patch: SchedulePatch
    }

const PAGE = 1_000
/** Views asked for at a time. */
const AT_ONCE = 8

/** @param tell called after each change is made, or would be */
export async function apply(
  connection: Pick<SchedulesConnection, 'schedules' | 'runs'>,
  wanted: readonly Wanted[],
  options: ApplyOptions,
  tell: (applied: Applied) => void,
): Promise<void> {
  const { schedules, runs } = connection
  const { dryRun, by } = options
  const kept = await views(schedules, options.prune ? undefined : new Set(wanted.map(({ name }) => name)))
  const steps = wanted.map((definition) => stepOf(definition, kept.get(definition.name)))
  await checkSteps(
    runs,
    steps.filter(({ change }) => change !== 'unchanged'),
    options,
  )
  for (const step of steps) {
    const change = dryRun ? step.change : await take(step, schedules, options)
    tell({ name: step.wanted.name, change })
  }
  if (!options.prune) return
  const named = new Set(wanted.map(({ name }) => name))
  for (const name of [...kept.keys()].filter((one) => !named.has(one))) {
    if (!dryRun) await schedules.delete(name, { by })
    tell({ name, change: 'deleted' })
  }
}

/** All schedules as entries of a file. */
export async function exported(schedules: SchedulesApi): Promise<readonly Record<string, unknown>[]> {
  const all = await views(schedules)
  return [...all.values()].map((view) => entryOf(definitionOfView(view)))
}

function stepOf(wanted: Wanted, view: ScheduleView | undefined): Step {
  if (view === undefined) return { change: 'created', wanted }
  const patch = patchFor(wanted, view)
  return patch === undefined ? { change: 'unchanged', wanted } : { change: 'updated', wanted, view, patch }
}

async function take(
  step: Step,
  schedules: SchedulesApi,
  { by, unknownJob }: Pick<ApplyOptions, 'by' | 'unknownJob'>,
): Promise<Change> {
  const { change, wanted } = step
  if (change === 'created') await schedules.put(wanted, { by, unknownJob, expect: 'absent' })
  if (change !== 'updated') return change
  const { patch, view } = step
  const { rev } = await schedules.update(wanted.name, patch, { by, unknownJob, expect: view.rev })
  return rev === view.rev ? 'unchanged' : change // what differed was a secret, which only the server sees
}

/** What is to be changed; undefined when nothing is. */
function patchFor(wanted: Wanted, view: ScheduleView): SchedulePatch | undefined {
  const { name: _, ...kept }: Record<string, unknown> = definitionOfView(view)
  const { name: __, ...next }: Record<string, unknown> = wanted
  const keys = Object.keys({ ...kept, ...next }).filter((key) => !same(kept[key], next[key]))
  const changes = keys.filter((key) => key !== 'enabled' || next[key] !== undefined)
  if (changes.length === 0) return undefined
  return schedulePatch.parse(Object.fromEntries(changes.map((key) => [key, next[key] ?? null])))
}

/** By name. @param names only these; default: all */
async function views(
  schedules: SchedulesApi,
  names?: ReadonlySet<string>,
): Promise<Map<string, ScheduleView>> {
  const wanted = names === undefined ? await namesOf(schedules) : [...names]
  const found = new Map<string, ScheduleView>()
  for (let at = 0; at < wanted.length; at += AT_ONCE) {
    const part = wanted.slice(at, at + AT_ONCE)
    const got = await Promise.all(part.map((name) => viewOf(schedules, name)))
    for (const view of got) if (view !== undefined) found.set(view.name, view)
  }
  return found
}

async function namesOf(schedules: SchedulesApi): Promise<string[]> {
  const names: string[] = []
  for (let after: string | undefined; ;) {
    const page = await schedules.list({ limit: PAGE, ...(after === undefined ? {} : { after }) })
    names.push(...page.schedules.map(({ name }) => name))
    if (page.next === undefined) return names
    after = page.next
  }
}

async function viewOf(schedules: SchedulesApi, name: string): Promise<ScheduleView | undefined> {
  return orNothing(schedules.get(name))
}
