/** What is shown to people: short, and with nothing in it that a terminal would obey. */

/** Text from elsewhere without control characters and invisible ones. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, '?')
}

/** Enough of an id to tell members apart by eye. */
export function shortId(id: string): string {
  return id.slice(0, 8)
}
