/** Names of schedules as arguments. */
import { invalidInput } from '../../cli/inputs.ts'
import { scheduleName } from '../api.ts'

/** @throws SignalboxError `invalid_argument` */
export function scheduleArgument(text: string): string {
  const parsed = scheduleName.safeParse(text)
  if (parsed.success) return text
  throw invalidInput(
    'schedule',
    `schedule '${text.slice(0, 80)}' ${parsed.error.issues[0]?.message ?? 'is not a name'}; 'signalbox schedule list' shows them`,
  )
}
