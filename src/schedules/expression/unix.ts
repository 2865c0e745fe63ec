/**
 * Whoever writes a cron line of Unix, without `cron(...)`, is told how it is written here. Where the two grammars differ too much
 * (both day fields given, `@daily`) there is no hint.
 */

/** @returns the line in our form, or undefined when there is no simple one. */
export function unixHint(text: string): string | undefined {
  const fields = text.trim().split(/\s+/)
  if (!fields.every((field) => /^[\dA-Za-z*?,/#-]+$/.test(field))) return undefined
  if (fields.length === 6 && fields.includes('?')) return `cron(${fields.join(' ')})`
  const [minutes = '', hours = '', dates = '', months = '', weekdays = ''] = fields
  if (fields.length !== 5 || !fields.every((field) => /^[\d*,/-]+$/.test(field))) return undefined
  if (weekdays === '*') return `cron(${minutes} ${hours} ${dates} ${months} ? *)`
  if (dates !== '*' || !/^[0-7](?:[,-][0-7])*$/.test(weekdays)) return undefined
  return `cron(${minutes} ${hours} ? ${months} ${weekdays.replaceAll(/\d/g, sundayIsOne)} *)`
}

/** Unix counts weekdays from Sunday = 0 (or 7), AWS from Sunday = 1. */
function sundayIsOne(weekday: string): string {
  return String((Number(weekday) % 7) + 1)
}
