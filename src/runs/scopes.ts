/** What a caller must be allowed beside the job itself, to create runs: their queues, and the schedules that they count for. Pure. */
import { SignalboxError } from '../kernel/error.ts'
import { nameFilter, type Noun, type Principal } from '../ports/access.ts'

/** @throws SignalboxError `permission_denied` unless the caller may act on all of these jobs */
export function demandJobs(
  principal: Principal,
  jobs: readonly { readonly job: string; readonly queue: string }[],
): void {
  demand(
    principal,
    'jobs',
    'job',
    jobs.map(({ job }) => job),
  )
  // Who creates runs puts wake-ups into their queues, as who sends messages does.
  demand(
    principal,
    'messages',
    'message queue',
    jobs.map(({ queue }) => queue),
  )
}

/**
 * A run that says it is one of a schedule counts there: it is in the way of others and is notified of as the schedule says. So is
 * one whose id is that of a schedule's time, which gets no other run then.
 * @throws SignalboxError `permission_denied` unless the caller may act on all of these schedules
 */
export function demandSchedules(
  principal: Principal,
  runs: readonly { readonly id?: string | undefined; readonly schedule?: string | undefined }[],
): void {
  const named = runs.flatMap(({ id = '', schedule }) => [schedule, OF_TIME.exec(id)?.groups?.['schedule']])
  demand(
    principal,
    'schedules',
    'schedule',
    named.filter((name) => name !== undefined),
  )
}

/** `<job>:<schedule>@<time>` */
const OF_TIME = /:(?<schedule>[A-Za-z0-9._-]{1,64})@\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ(?::|$)/

function demand(principal: Principal, noun: Noun, what: string, names: readonly string[]): void {
  const may = nameFilter(principal, noun)
  const denied = names.find((name) => !may(name))
  if (denied === undefined) return
  throw new SignalboxError(
    'permission_denied',
    `this token may not act on ${what} '${denied}'; its scopes allow others (it would need ${noun}:${denied})`,
  )
}
