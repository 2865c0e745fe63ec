/**
 * The HTTP face of turn queues, under `/api/v1/turns`. Long-polls end when the client hangs up; the lists turn into live
 * streams (server-sent events) for a client that asks for `text/event-stream`.
 */
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { Clock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import { nameFilter, type Access } from '../ports/access.ts'
import { streamSnapshots, wantsStream } from '../ports/event-stream.ts'
import {
  beatBody,
  beatView,
  joinBody,
  leaveView,
  memberId,
  memberView,
  queueName,
  queueSummary,
  queueView,
  waitBody,
  type QueueView,
} from './api.ts'
import { operatorRoutes } from './http-operate.ts'
import type { TurnsService } from './service.ts'
import { minimumTtl, ttlIsWorkable } from './timing.ts'
import { listVisible } from './visible-queues.ts'

export type App = FastifyInstance<any, any, any, any, ZodTypeProvider> // oxlint-disable-line typescript/no-explicit-any -- raw server types differ by listener

const queueParams = z.object({ queue: queueName })
const memberParams = queueParams.extend({ id: memberId })
const tags = ['turns']
const operator: Access = { role: 'operator', noun: 'turns', param: 'queue' }
const viewer: Access = { role: 'viewer', noun: 'turns', param: 'queue' }

/** Queues in one live snapshot, and waiters shown of each. */
const LIVE_QUEUES = 200
const LIVE_WAITERS = 20

export interface TurnsFaceOptions {
  readonly turns: TurnsService
  readonly clock: Clock
}

/** @example app.register(turnsFace({ turns, clock })) */
export function turnsFace({ turns, clock }: TurnsFaceOptions): (app: App) => Promise<void> {
  return async (app) => {
    app.route({
      method: 'POST',
      url: '/api/v1/turns/:queue/members',
      config: { access: operator },
      schema: {
        tags,
        operationId: 'joinTurnQueue',
        summary: 'Join a queue, and wait for the turn',
        params: queueParams,
        body: joinBody,
        response: { 200: memberView },
      },
      handler: async (request, reply) => {
        const { ttlMs } = request.body
        // A client with another stop grace than the default checks its own bound; 0 is the least strict one.
        if (ttlMs !== undefined && !ttlIsWorkable(ttlMs, 0)) {
          throw new SignalboxError(
            'invalid_argument',
            `ttlMs: ${ttlMs} cannot work; the shortest is ${minimumTtl(0)}`,
          )
        }
        return turns.join(request.params.queue, request.body, hangUp(reply))
      },
    })
    app.route({
      method: 'POST',
      url: '/api/v1/turns/:queue/members/:id/wait',
      config: { access: operator },
      schema: {
        tags,
        operationId: 'waitForTurn',
        summary: 'Wait for the turn; each call is also a beat',
        params: memberParams,
        body: waitBody,
        response: { 200: memberView },
      },
      handler: async (request, reply) => {
        const { queue, id } = request.params
        return turns.wait(queue, id, request.body, hangUp(reply))
      },
    })
    app.route({
      method: 'POST',
      url: '/api/v1/turns/:queue/members/:id/beat',
      config: { access: operator },
      schema: {
        tags,
        operationId: 'beatTurn',
        summary: 'Prove that a holder lives',
        params: memberParams,
        body: beatBody,
        response: { 200: beatView },
      },
      handler: async (request) => {
        const { queue, id } = request.params
        return turns.beat(queue, id, request.body.fence)
      },
    })
    app.route({
      method: 'DELETE',
      url: '/api/v1/turns/:queue/members/:id',
      config: { access: operator },
      schema: {
        tags,
        operationId: 'leaveTurnQueue',
        summary: 'Release the turn, or stop waiting',
        params: memberParams,
        querystring: z.object({ fence: z.coerce.number().int().min(1).optional() }),
        response: { 200: leaveView },
      },
      handler: async (request) => {
        const { queue, id } = request.params
        return turns.leave(queue, id, request.query.fence)
      },
    })
    readingRoutes(app, turns, clock)
    operatorRoutes(app, turns)
  }
}

function readingRoutes(app: App, turns: TurnsService, clock: Clock): void {
  const listQuery = z.object({
    limit: z.coerce.number().int().min(1).max(1_000).optional(),
    after: queueName.optional(),
  })
  app.route({
    method: 'GET',
    url: '/api/v1/turns',
    config: { access: { role: 'viewer', noun: 'turns', filtered: true } },
    schema: {
      tags,
      operationId: 'listTurnQueues',
      summary: 'Turn queues by name; with Accept: text/event-stream a live stream',
      querystring: listQuery,
      response: { 200: z.object({ queues: z.array(queueSummary), next: queueName.optional() }) },
    },
    handler: async (request, reply) => {
      const { principal, query } = request
      const visible = nameFilter(principal, 'turns')
      const list =
        principal.scopes.length === 0 ? turns.list.bind(turns) : listVisible.bind(null, turns, visible)
      if (!wantsStream(request)) {
        const { limit, after } = query
        return list({
          ...(limit === undefined ? {} : { limit }),
          ...(after === undefined ? {} : { after }),
        })
      }
      streamSnapshots(reply, {
        clock,
        onChange: (listener) => turns.onChange((name) => visible(name) && listener()),
        snapshot: async () => {
          const { queues } = await list({ limit: LIVE_QUEUES })
          const views = await Promise.all(
            queues.map(({ queue }) => turns.show(queue, { limit: LIVE_WAITERS })),
          )
          return { event: 'queues', data: { now: new Date(clock.now()).toISOString(), queues: views } }
        },
      })
      return reply
    },
  })
  app.route({
    method: 'GET',
    url: '/api/v1/turns/:queue',
    config: { access: viewer },
    schema: {
      tags,
      operationId: 'showTurnQueue',
      summary: 'One queue: holders and waiters; with Accept: text/event-stream a live stream',
      params: queueParams,
      querystring: z.object({ limit: z.coerce.number().int().min(1).max(1_000).optional() }),
      response: { 200: queueView },
    },
    handler: async (request, reply) => {
      const { queue } = request.params
      const { limit = 100 } = request.query
      const view = await turns.show(queue, { limit })
      if (!wantsStream(request)) return view
      streamSnapshots(reply, {
        clock,
        onChange: (listener) => turns.onChange((name) => name === queue && listener()),
        snapshot: async (): Promise<{ event: string; data: QueueView }> => ({
          event: 'queue',
          data: await turns.show(queue, { limit }),
        }),
      })
      return reply
    },
  })
}

/** Aborts when the client closes the connection before it was answered. */
function hangUp(reply: FastifyReply): AbortSignal {
  const controller = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort()
  })
  return controller.signal
}
