/** A value as messages show it: text in quotes, other things as JSON, clipped, on one line. */
export function quoted(value: unknown): string {
  const text = typeof value === 'string' ? `'${value}'` : (JSON.stringify(value) ?? 'nothing')
  const clipped = text.length > 60 ? `${text.slice(0, 57)}...` : text
  return clipped.replaceAll(/\p{Cc}/gu, ' ')
}
