/** `MessagesApi` at a distance: the routes under `/api/v1/messages`. */
import { z } from 'zod'
import {
  deleteView,
  peekView,
  receiveView,
  redriveView,
  sendView,
  statsView,
  type MessagesApi,
} from '../messages/api.ts'
import { query } from './query.ts'
import type { Transport } from './transport.ts'

/** How long one call of a redrive goes on at most, before it says where to go on. */
const REDRIVE_MS = 10_000

/** Message queues of the server that `transport` reaches. Each call is sent once; see `MessagesApi` for what it throws. */
export function messagesOver(transport: Transport): MessagesApi {
  const path = (queue: string, rest = ''): string => `/api/v1/messages/${encodeURIComponent(queue)}${rest}`
  return {
    send: (queue, messages) =>
      transport.call({ method: 'POST', path: path(queue, '/send'), body: { messages }, answer: sendView }),
    receive: (queue, request) =>
      transport.call({
        method: 'POST',
        path: path(queue, '/receive'),
        body: request,
        answer: receiveView,
        waitMs: request.waitMs ?? 0,
      }),
    delete: (queue, receipts) =>
      transport.call({
        method: 'POST',
        path: path(queue, '/delete'),
        body: { receipts },
        answer: deleteView,
      }),
    stats: (queue) => transport.call({ method: 'GET', path: path(queue), answer: statsView }),
    peek: (queue, { limit, after }) =>
      transport.call({
        method: 'GET',
        path: path(queue, '/peek') + query({ limit, after }),
        answer: peekView,
      }),
    redrive: (queue, request) =>
      transport.call({
        method: 'POST',
        path: path(queue, '/redrive'),
        body: request,
        answer: redriveView,
        waitMs: REDRIVE_MS,
      }),
    async purge(queue) {
      await transport.call({ method: 'POST', path: path(queue, '/purge'), body: {}, answer: z.object({}) })
    },
  }
}
