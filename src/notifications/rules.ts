/** Who is told: the schedule's own word if it has one, else every rule that fits. Pure. */
import { matches } from '../ports/access.ts'
import type { About } from './notice.ts'
import { eventKinds, type EventKind, type NotificationRule } from './vocabulary.ts'

/** What a schedule says; replaces the rules. No channels: nobody is told. */
export interface OwnNotify {
  readonly events?: readonly EventKind[] | undefined
  readonly channels: readonly string[]
}

/** The channels, each once, in the order of the rules. */
export function channelsFor(
  rules: readonly NotificationRule[],
  about: About,
  kind: EventKind,
  own?: OwnNotify,
): readonly string[] {
  if (own !== undefined) return (own.events ?? eventKinds).includes(kind) ? [...new Set(own.channels)] : []
  return [...new Set(rules.filter((rule) => fits(rule, about, kind)).flatMap(({ channels }) => channels))]
}

function fits(
  { events, schedules, jobs }: NotificationRule,
  { job, schedule }: About,
  kind: EventKind,
): boolean {
  if (events !== undefined && !events.includes(kind)) return false
  if (jobs !== undefined && !jobs.some((pattern) => matches(pattern, job))) return false
  if (schedules === undefined) return true
  return schedule !== undefined && schedules.some((pattern) => matches(pattern, schedule))
}
