/**
 * The schedules of our group: read, compared and written one by one.
 *
 * Invariant: whatever else happens between two calls (another replica, a lost answer, a person), a schedule is looked at
 * again rather than written blindly.
 */
import type { GetScheduleCommandOutput, UpdateScheduleInput } from '@aws-sdk/client-scheduler'
import { isSignalboxError, SignalboxError } from '../../../kernel/error.ts'
import { isExisting, unlessAbsent } from '../errors.ts'
import type { Scheduler } from './client.ts'
import { differences } from './wanted.ts'

/** What was found of a schedule that is not as wanted. */
export interface Finding {
  readonly problem: 'missing' | 'changed'
  readonly detail: string
}

/** A schedule as a list shows it. */
export interface Listed {
  readonly name: string
  /** When it was changed last, milliseconds since the epoch; 0 where AWS does not tell. */
  readonly changedAt: number
}

/** A schedule that others change as fast as we look is left to the next round. */
const ROUNDS = 4
const PAGE = 100

export async function get(
  scheduler: Scheduler,
  { Name, GroupName }: Pick<UpdateScheduleInput, 'Name' | 'GroupName'>,
  signal?: AbortSignal,
): Promise<GetScheduleCommandOutput | undefined> {
  const facts = { operation: 'GetSchedule', what: `schedule '${Name}'`, effect: false, signal }
  return scheduler
    .call(facts, () => new scheduler.api.GetScheduleCommand({ Name, GroupName }))
    .catch(unlessAbsent)
}

/** How it differs from what is wanted; undefined when it does not. @param now milliseconds since the epoch */
export async function look(
  scheduler: Scheduler,
  want: UpdateScheduleInput,
  now: number,
  signal?: AbortSignal,
): Promise<Finding | undefined> {
  const have = await get(scheduler, want, signal)
  if (have === undefined) return { problem: 'missing', detail: 'there is no such schedule' }
  const different = differences(have, want, now)
  return different.length === 0 ? undefined : { problem: 'changed', detail: different.join('; ') }
}

/** Makes it what is wanted, wholly. @param first what a look just now has found, if there was one */
export async function make(
  scheduler: Scheduler,
  want: UpdateScheduleInput,
  now: number,
  { first, signal }: { readonly first?: Finding; readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  let finding = first ?? (await look(scheduler, want, now, signal))
  for (let round = 0; finding !== undefined; round++) {
    if (round === ROUNDS) {
      throw new SignalboxError(
        'unavailable',
        `schedule '${want.Name}' changes all the time; tried again later`,
      )
    }
    if (await write(scheduler, want, finding.problem, signal)) return
    finding = await look(scheduler, want, now, signal)
  }
}

/** @returns false when it was not there, or there already, after all */
async function write(
  scheduler: Scheduler,
  want: UpdateScheduleInput,
  problem: Finding['problem'],
  signal?: AbortSignal,
): Promise<boolean> {
  const what = `schedule '${want.Name}'`
  try {
    if (problem === 'missing') {
      const facts = { operation: 'CreateSchedule', what, effect: true, signal }
      await scheduler.call(facts, () => new scheduler.api.CreateScheduleCommand(want))
    } else {
      const facts = { operation: 'UpdateSchedule', what, effect: true, signal }
      await scheduler.call(facts, () => new scheduler.api.UpdateScheduleCommand(want))
    }
    return true
  } catch (error) {
    if (problem === 'missing' ? isExisting(error) : isSignalboxError(error, 'not_found')) return false
    throw error
  }
}

export async function remove(
  scheduler: Scheduler,
  GroupName: string,
  Name: string,
  signal?: AbortSignal,
): Promise<void> {
  const facts = { operation: 'DeleteSchedule', what: `schedule '${Name}'`, effect: true, signal }
  await scheduler
    .call(facts, () => new scheduler.api.DeleteScheduleCommand({ Name, GroupName }))
    .catch(unlessAbsent)
}

/** All schedules of the group, page by page. */
export async function list(
  scheduler: Scheduler,
  GroupName: string,
  signal?: AbortSignal,
): Promise<readonly Listed[]> {
  const found: Listed[] = []
  const what = `schedule group '${GroupName}'`
  let token: string | undefined
  do {
    const input = { GroupName, MaxResults: PAGE, ...(token === undefined ? {} : { NextToken: token }) }
    const facts = { operation: 'ListSchedules', what, effect: false, signal }
    const page = await scheduler.call(facts, () => new scheduler.api.ListSchedulesCommand(input))
    for (const { Name, LastModificationDate } of page.Schedules ?? []) {
      if (Name !== undefined) found.push({ name: Name, changedAt: LastModificationDate?.getTime() ?? 0 })
    }
    token = page.NextToken
  } while (token !== undefined && token !== '')
  return found
}
