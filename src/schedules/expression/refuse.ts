/** How a schedule expression is refused: one line that names the field and the reason. */
import { SignalboxError } from '../../kernel/error.ts'

/** A part of an expression, as AWS calls it. */
export type Part =
  | 'minutes'
  | 'hours'
  | 'day-of-month'
  | 'month'
  | 'day-of-week'
  | 'year'
  | 'cron'
  | 'rate'
  | 'at'
  | 'expression'

/** What was written, fit for a message: one line, printable, not long. */
export function quoted(text: string): string {
  const short = text.length > 60 ? `${text.slice(0, 57)}...` : text
  return `'${short.replaceAll(/[^\x20-\x7e]/g, '?')}'`
}

/** The error to throw; `details.part` names the part for programs. */
export function refusal(part: Part, text: string, reason: string): SignalboxError {
  const what = part === 'expression' ? 'schedule expression' : `schedule expression, ${part}`
  return new SignalboxError('invalid_argument', `${what} ${quoted(text)}: ${reason}`, {
    details: { field: 'expression', part },
  })
}
