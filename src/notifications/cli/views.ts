/** What `notifications` prints for people. */
import { table } from '../../cli/output.ts'
import { printable } from '../../cli/text.ts'
import { formatDuration } from '../../kernel/duration.ts'
import type { ChannelView, DeliveryList, DeliveryRow, DeliveryView } from '../api.ts'

const MAX_WHY = 60

export function deliveriesText({ deliveries, more }: DeliveryList, now: number): string {
  if (deliveries.length === 0) return 'Nothing waits.\n'
  const rows = deliveries.map((one) => [
    one.id,
    one.channel,
    printable(one.text),
    String(one.tries),
    when(one, now),
    printable(one.error ?? '').slice(0, MAX_WHY),
  ])
  const rest = more ? 'There are more; --limit shows them.\n' : ''
  return table([['ID', 'CHANNEL', 'WHAT', 'TRIES', 'NEXT', 'LAST ERROR'], ...rows]) + rest
}

export function channelsText(channels: readonly ChannelView[], now: number): string {
  if (channels.length === 0) return 'No channels. Add them to notifications.channels of the configuration.\n'
  const rows = channels.map(({ name, type = 'not configured', target = '', waiting, failing }) => [
    name,
    type,
    String(waiting),
    failing === undefined ? 'works, as far as known' : `fails, tried again ${inTime(failing.nextTryAt, now)}`,
    printable(failing?.error ?? target).slice(0, MAX_WHY),
  ])
  return table([['CHANNEL', 'TYPE', 'WAITING', 'STATE', ''], ...rows])
}

export function deliveryText(one: DeliveryView, now: number): string {
  const { data } = one.body
  const facts: [string, string | undefined][] = [
    ['channel', one.channel],
    [
      'state',
      one.state === 'pending' ? `waits, tried ${one.tries} times` : `given up after ${one.tries} tries`,
    ],
    ['next try', one.state === 'pending' ? when(one, now) : undefined],
    ['last error', one.error],
    ['event', `${one.event} (${one.type})`],
    ['happened', one.body.timestamp],
    ['run', data.run],
    ['scheduled for', data.scheduledAt],
    ['error', data.error],
    ['reason', data.reason],
  ]
  const rows = facts.flatMap(([name, value]) =>
    value === undefined ? [] : [[`  ${name}`, printable(value)]],
  )
  return `${one.id}  ${printable(one.text)}\n${table(rows)}`
}

function when({ state, nextAt, givenUpAt }: DeliveryRow, now: number): string {
  if (state === 'given_up') return `given up ${givenUpAt ?? ''}`
  return nextAt === undefined ? '' : inTime(nextAt, now)
}

function inTime(iso: string, now: number): string {
  const ms = Date.parse(iso) - now
  return ms <= 0 ? 'now' : `in ${formatDuration(ms)}`
}
