/** Words that all pages of the console use. */

/** `8s`, `4m 05s`, `1h 30m`, `3d 4h`. @param {number} ms */
export function age(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  if (minutes === 0) return `${seconds}s`
  if (hours === 0) return `${minutes}m ${String(seconds % 60).padStart(2, '0')}s`
  return hours < 24 ? `${hours}h ${minutes % 60}m` : `${Math.floor(hours / 24)}d ${hours % 24}h`
}

/** As `age`, without what is nought: `5m`, `6h`. @param {number} ms */
export function duration(ms) {
  return age(ms).replace(/ 0+[a-z]$/, '')
}

/** With a capital. @param {string} text */
export function sentence(text) {
  return text.slice(0, 1).toUpperCase() + text.slice(1)
}

/** @param {number} count @param {string} noun */
export function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}
