/** What `turn list` and `turn show` print. */
import { table } from '../../cli/output.ts'
import { formatDuration } from '../../kernel/duration.ts'
import type { QueueSummary, QueueView, TurnsApi } from '../api.ts'
import { labelName } from './labels.ts'
import { printable, shortId } from '../../cli/text.ts'

const PAGE = 100

/** All queues, page by page. */
export async function listQueues(
  turns: TurnsApi,
  { limit = Infinity, json }: { readonly limit: number | undefined; readonly json: boolean },
): Promise<string> {
  const queues: QueueSummary[] = []
  let after: string | undefined
  do {
    const options = {
      limit: Math.min(PAGE, limit - queues.length),
      ...(after === undefined ? {} : { after }),
    }
    const page = await turns.list(options)
    queues.push(...page.queues)
    after = page.next
  } while (after !== undefined && queues.length < limit)
  if (json) return `${JSON.stringify({ queues, ...(after === undefined ? {} : { next: after }) })}\n`
  if (queues.length === 0) return 'No turn queues yet.\n'
  const rows = queues.map(({ queue, state, permits, holding, waiting }) => [
    queue,
    state,
    String(permits),
    String(holding),
    String(waiting),
  ])
  const more = after === undefined ? '' : 'There are more; raise --limit.\n'
  return table([['QUEUE', 'STATE', 'PERMITS', 'HOLDING', 'WAITING'], ...rows]) + more
}

/** One queue: its state in a line, then who holds it and who waits. */
export async function showQueue(
  turns: TurnsApi,
  queue: string,
  { limit, json, now }: { readonly limit: number; readonly json: boolean; readonly now: number },
): Promise<string> {
  const view = await turns.show(queue, { limit })
  return json ? `${JSON.stringify(view)}\n` : describe(view, now)
}

function describe(view: QueueView, now: number): string {
  const { holders, waiters, moreWaiters, averageHoldMs } = view
  const since = (at: string): string => formatDuration(Math.max(0, now - Date.parse(at)))
  const { note } = view
  const facts = [
    note === undefined ? view.state : `${view.state} (${printable(note.by)}: ${printable(note.reason)})`,
    `${view.permits} ${view.permits === 1 ? 'permit' : 'permits'}`,
    `last fence ${view.lastFence}`,
    ...(averageHoldMs === undefined ? [] : [`held for ${formatDuration(averageHoldMs)} on average`]),
  ]
  const holding = holders.map((h) => [
    h.ending === undefined ? 'holding' : 'ending',
    shortId(h.id),
    who(h.labels),
    since(h.grantedAt),
    `fence ${h.fence}`,
  ])
  const waiting = waiters.map((w) => [
    `waiting ${w.position}`,
    shortId(w.id),
    who(w.labels),
    since(w.joinedAt),
    `priority ${w.priority}`,
  ])
  const head = `${view.queue}: ${facts.join(', ')}\n`
  if (holding.length + waiting.length === 0) return `${head}Nobody holds it and nobody waits.\n`
  const more = moreWaiters ? 'More wait than are listed; raise --limit.\n' : ''
  return head + table([['PLACE', 'ID', 'WHO', 'FOR', ''], ...holding, ...waiting]) + more
}

function who(labels: Readonly<Record<string, string>>): string {
  return printable(labelName(labels) ?? '-')
}
