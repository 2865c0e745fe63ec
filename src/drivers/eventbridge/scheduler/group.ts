/**
 * The schedule group: schedules cannot carry tags, their group can, so all of ours are in one group that carries ours.
 *
 * States: ACTIVE → DELETING, in which it takes no schedules, → gone.
 * https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-group.html
 */
import { SignalboxError } from '../../../kernel/error.ts'
import type { ReconcileOptions, TriggerDrift } from '../../../ports/trigger.ts'
import { foreign, repaired } from '../drift.ts'
import { isExisting, unlessAbsent } from '../errors.ts'
import { isTagged, TAG_KEY } from '../marks.ts'
import type { Scheduler } from './client.ts'

export interface Group {
  /** Absent when there is none, or none of ours. */
  readonly arn?: string
  readonly drift: readonly TriggerDrift[]
}

interface Found {
  readonly arn: string
  readonly deleting: boolean
  readonly ours: boolean
}

/** @param name also the value of its tag */
export async function reconcileGroup(
  scheduler: Scheduler,
  name: string,
  options: ReconcileOptions,
): Promise<Group> {
  const there = await find(scheduler, name, options.signal)
  const found = { object: 'group', name } as const
  if (there === undefined) {
    const missing = { ...found, problem: 'missing', detail: 'there is no such schedule group' } as const
    let arn: string | undefined
    const drift = await repaired(missing, options, async () => {
      arn = await create(scheduler, name, options.signal)
    })
    return { ...(arn === undefined ? {} : { arn }), drift: [drift] }
  }
  if (there.deleting) {
    const detail = 'it is being deleted'
    return { drift: [await repaired({ ...found, problem: 'not_ready', detail }, options, stillDeleting)] }
  }
  if (there.ours) return { arn: there.arn, drift: [] }
  if (!(options.adopt === true && options.repair)) {
    return { drift: [foreign('group', name, 'choose another schedules.eventBridge.namespace')] }
  }
  const untagged = { ...found, problem: 'changed', detail: 'it does not carry our mark' } as const
  const drift = await repaired(untagged, options, () => tag(scheduler, name, there.arn, options.signal))
  return { ...(drift.repaired ? { arn: there.arn } : {}), drift: [drift] }
}

/** The ARN of the group, if it is ours and takes schedules. */
export async function ownGroup(scheduler: Scheduler, name: string): Promise<string | undefined> {
  const there = await find(scheduler, name)
  return there?.ours === true && !there.deleting ? there.arn : undefined
}

/** Deletes it with all schedules in it, if it is ours. @returns what it removed */
export async function removeGroup(scheduler: Scheduler, name: string): Promise<readonly string[]> {
  const there = await find(scheduler, name)
  if (there?.ours !== true || there.deleting) return []
  const facts = { operation: 'DeleteScheduleGroup', what: `schedule group '${name}'`, effect: true }
  await scheduler
    .call(facts, () => new scheduler.api.DeleteScheduleGroupCommand({ Name: name }))
    .catch(unlessAbsent)
  return [`schedule group ${name}, with its schedules`]
}

function stillDeleting(): Promise<never> {
  return Promise.reject(
    new SignalboxError('unavailable', 'AWS takes up to a few minutes; it is made anew after that'),
  )
}

async function find(scheduler: Scheduler, Name: string, signal?: AbortSignal): Promise<Found | undefined> {
  const what = `schedule group '${Name}'`
  const facts = { operation: 'GetScheduleGroup', what, effect: false, signal }
  const there = await scheduler
    .call(facts, () => new scheduler.api.GetScheduleGroupCommand({ Name }))
    .catch(unlessAbsent)
  const ResourceArn = there?.Arn
  if (there === undefined || ResourceArn === undefined) return undefined
  const reading = { operation: 'ListTagsForResource', what, effect: false, signal }
  const listed = await scheduler
    .call(reading, () => new scheduler.api.ListTagsForResourceCommand({ ResourceArn }))
    .catch(unlessAbsent)
  if (listed === undefined) return undefined
  return { arn: ResourceArn, deleting: there.State === 'DELETING', ours: isTagged(listed.Tags, Name) }
}

async function create(scheduler: Scheduler, Name: string, signal?: AbortSignal): Promise<string | undefined> {
  const facts = { operation: 'CreateScheduleGroup', what: `schedule group '${Name}'`, effect: true, signal }
  const Tags = [{ Key: TAG_KEY, Value: Name }]
  try {
    const made = await scheduler.call(
      facts,
      () => new scheduler.api.CreateScheduleGroupCommand({ Name, Tags }),
    )
    if (made.ScheduleGroupArn !== undefined) return made.ScheduleGroupArn
  } catch (error) {
    // Another replica's, or our own of which the answer was lost.
    if (!isExisting(error)) throw error
  }
  return ownGroup(scheduler, Name)
}

async function tag(
  scheduler: Scheduler,
  name: string,
  ResourceArn: string,
  signal?: AbortSignal,
): Promise<void> {
  const facts = { operation: 'TagResource', what: `schedule group '${name}'`, effect: true, signal }
  const Tags = [{ Key: TAG_KEY, Value: name }]
  await scheduler.call(facts, () => new scheduler.api.TagResourceCommand({ ResourceArn, Tags }))
}
