/** `waiting, position 2 of the line; held by ann@laptop (ab12cd34) for 1m 20s; about 4m` */
import { formatDuration } from '../../kernel/duration.ts'
import type { MemberView } from '../api.ts'
import { labelName } from './labels.ts'
import { printable, shortId } from '../../cli/text.ts'

/** @param agoMs since the answer came: holders have held for that much longer */
export function waitingLine(view: MemberView, agoMs: number): string {
  const { position, positionExact, holders, estimatedWaitMs } = view
  const parts = [`waiting, position ${positionExact ? '' : 'about '}${position} of the line`]
  if (view.queueState !== undefined)
    parts.push(`the queue is ${view.queueState}: ${printable(view.reason ?? 'no reason given')}`)
  else if (view.reason !== undefined && holders.length === 0) parts.push(printable(view.reason))
  if (holders.length > 0) {
    const names = holders.map(({ id, sinceMs, labels }) => {
      const name = labelName(labels)
      const who = name === undefined ? shortId(id) : `${printable(name)} (${shortId(id)})`
      return `${who} for ${formatDuration(wholeSeconds(sinceMs + agoMs))}`
    })
    parts.push(`held by ${names.join(', ')}`)
  }
  if (estimatedWaitMs !== undefined) {
    const left = Math.max(0, estimatedWaitMs - agoMs)
    parts.push(left < 1_000 ? 'any moment now' : `about ${formatDuration(left)}`)
  }
  return parts.join('; ')
}

function wholeSeconds(ms: number): number {
  return Math.max(1_000, Math.floor(ms / 1_000) * 1_000)
}
