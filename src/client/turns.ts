/**
 * `TurnsApi` at a distance: the routes under `/api/v1/turns`. A queue's name is one percent-encoded segment of the path,
 * because names may contain `/`, `:` and `@`.
 */
import { z } from 'zod'
import {
  beatView,
  changedView,
  evictView,
  historyView,
  leaveView,
  memberView,
  queueSummary,
  queueView,
  type JoinRequest,
  type TurnsApi,
  type TurnsOperations,
  type WaitRequest,
} from '../turns/api.ts'
import { query } from './query.ts'
import type { Transport } from './transport.ts'

const listView = z.object({ queues: z.array(queueSummary), next: z.string().optional() })

/** Takes turns on the server that `transport` reaches. Each call is sent once; see `TurnsApi` for what it throws. */
export function turnsOver(transport: Transport): TurnsApi & TurnsOperations {
  return {
    join: (queue: string, request: JoinRequest, signal?: AbortSignal) =>
      transport.call({
        method: 'POST',
        path: membersPath(queue),
        body: request,
        answer: memberView,
        waitMs: request.waitMs ?? 0,
        signal,
      }),
    wait: (queue: string, id: string, request: WaitRequest, signal?: AbortSignal) =>
      transport.call({
        method: 'POST',
        path: `${memberPath(queue, id)}/wait`,
        body: request,
        answer: memberView,
        waitMs: request.waitMs ?? 0,
        signal,
      }),
    beat: (queue: string, id: string, fence: number, signal?: AbortSignal) =>
      transport.call({
        method: 'POST',
        path: `${memberPath(queue, id)}/beat`,
        body: { fence },
        answer: beatView,
        signal,
      }),
    leave: (queue: string, id: string, fence?: number, signal?: AbortSignal) =>
      transport.call({
        method: 'DELETE',
        path: memberPath(queue, id) + query({ fence }),
        answer: leaveView,
        signal,
      }),
    show: (queue, options = {}) =>
      transport.call({
        method: 'GET',
        path: queuePath(queue) + query({ limit: options.limit }),
        answer: queueView,
      }),
    async list(options = {}) {
      const { queues, next } = await transport.call({
        method: 'GET',
        path: `/api/v1/turns${query({ limit: options.limit, after: options.after })}`,
        answer: listView,
      })
      return { queues, ...(next === undefined ? {} : { next }) }
    },
    setState: (queue, state, { reason }) =>
      transport.call({
        method: 'POST',
        path: `${queuePath(queue)}/${verbs[state]}`,
        body: { reason },
        answer: changedView,
      }),
    setPermits: (queue, permits, { reason }) =>
      transport.call({
        method: 'POST',
        path: `${queuePath(queue)}/permits`,
        body: { permits, reason },
        answer: changedView,
      }),
    evict: (queue, id, { reason, force = false }) =>
      transport.call({
        method: 'POST',
        path: `${memberPath(queue, id)}/evict`,
        body: { reason, force },
        answer: evictView,
      }),
    async history(queue, options = {}) {
      const path = `${queuePath(queue)}/history${query({ limit: options.limit, before: options.before })}`
      const { holds, next } = await transport.call({ method: 'GET', path, answer: historyView })
      return { holds, ...(next === undefined ? {} : { next }) }
    },
  }
}

const verbs = { open: 'resume', paused: 'pause', draining: 'drain' } as const

function queuePath(queue: string): string {
  return `/api/v1/turns/${encodeURIComponent(queue)}`
}

function membersPath(queue: string): string {
  return `${queuePath(queue)}/members`
}

function memberPath(queue: string, id: string): string {
  return `${membersPath(queue)}/${encodeURIComponent(id)}`
}
