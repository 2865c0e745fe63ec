/**
 * Lists of queues for a caller who may see only some of them.
 *
 * Invariant: neither a row nor a cursor names a queue that the caller may not see.
 */
import type { QueueSummary, TurnsApi } from './api.ts'

const PAGE = 1_000

/** As `TurnsApi.list`, of those queues alone whose name is `visible`; pages are as full as if there were no others. */
export async function listVisible(
  turns: Pick<TurnsApi, 'list'>,
  visible: (queue: string) => boolean,
  { limit = 100, after }: { readonly limit?: number | undefined; readonly after?: string | undefined } = {},
): Promise<{ queues: QueueSummary[]; next?: string }> {
  const seen: QueueSummary[] = []
  for (let from = after; seen.length <= limit;) {
    const page = await turns.list({ limit: PAGE, ...(from === undefined ? {} : { after: from }) })
    seen.push(...page.queues.filter(({ queue }) => visible(queue)))
    if (page.next === undefined) break
    from = page.next
  }
  const queues = seen.slice(0, limit)
  const last = queues.at(-1)
  return seen.length > limit && last !== undefined ? { queues, next: last.queue } : { queues }
}
