/** `TriggerControl` at a distance: the routes under `/api/v1/schedules-trigger`. The server knows who calls. */
import { reconcileView, removedView, triggerStatus, type TriggerControl } from '../schedules/api.ts'
import type { Transport } from './transport.ts'

/** A comparison is hundreds of calls to AWS, whose pace is AWS's. */
const PATIENCE_MS = 600_000

export function triggerOver(transport: Transport): TriggerControl {
  const path = '/api/v1/schedules-trigger'
  return {
    status: () => transport.call({ method: 'GET', path, answer: triggerStatus }),
    reconcile: (request) =>
      transport.call({
        method: 'POST',
        path: `${path}/reconcile`,
        body: request,
        answer: reconcileView,
        waitMs: PATIENCE_MS,
      }),
    remove: () =>
      transport.call({ method: 'POST', path: `${path}/remove`, answer: removedView, waitMs: PATIENCE_MS }),
  }
}
