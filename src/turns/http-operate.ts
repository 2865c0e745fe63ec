/** What operators do, over HTTP: each change names its reason and is recorded under the caller's name. */
import { z } from 'zod'
import type { Access } from '../ports/access.ts'
import {
  actBody,
  changedView,
  evictBody,
  evictView,
  historyView,
  memberId,
  permitsBody,
  queueName,
  resumeBody,
  type TurnsOperations,
} from './api.ts'
import type { App } from './http.ts'

const queueParams = z.object({ queue: queueName })
const tags = ['turns']
const operator: Access = { role: 'operator', noun: 'turns', param: 'queue' }
const viewer: Access = { role: 'viewer', noun: 'turns', param: 'queue' }

export function operatorRoutes(app: App, turns: TurnsOperations): void {
  for (const [verb, state, body, summary] of [
    ['pause', 'paused', actBody, 'Grant nothing and take nobody until resumed'],
    ['drain', 'draining', actBody, 'Take nobody new; who waits still gets its turn'],
    ['resume', 'open', resumeBody, 'Open a paused or draining queue'],
  ] as const) {
    app.route({
      method: 'POST',
      url: `/api/v1/turns/:queue/${verb}`,
      config: { access: operator },
      schema: {
        tags,
        operationId: `${verb}TurnQueue`,
        summary,
        params: queueParams,
        body,
        response: { 200: changedView },
      },
      handler: async (request) => {
        const { reason = verb } = request.body
        return turns.setState(request.params.queue, state, { reason, by: request.principal.name })
      },
    })
  }
  app.route({
    method: 'POST',
    url: '/api/v1/turns/:queue/permits',
    config: { access: operator },
    schema: {
      tags,
      operationId: 'setTurnPermits',
      summary: 'Change how many may hold at once; lowering it revokes nobody',
      params: queueParams,
      body: permitsBody,
      response: { 200: changedView },
    },
    handler: async (request) => {
      const { permits, reason } = request.body
      return turns.setPermits(request.params.queue, permits, { reason, by: request.principal.name })
    },
  })
  app.route({
    method: 'POST',
    url: '/api/v1/turns/:queue/members/:id/evict',
    config: { access: operator },
    schema: {
      tags,
      operationId: 'evictTurnMember',
      summary: 'End a member’s hold or wait',
      params: queueParams.extend({ id: memberId }),
      body: evictBody,
      response: { 200: evictView },
    },
    handler: async (request) => {
      const { queue, id } = request.params
      const { reason, force = false } = request.body
      return turns.evict(queue, id, { reason, force, by: request.principal.name })
    },
  })
  app.route({
    method: 'GET',
    url: '/api/v1/turns/:queue/history',
    config: { access: viewer },
    schema: {
      tags,
      operationId: 'turnQueueHistory',
      summary: 'Holds that are over, newest first; 30 days are kept',
      params: queueParams,
      querystring: z.object({
        limit: z.coerce.number().int().min(1).max(1_000).optional(),
        before: z.coerce
          .number()
          .int()
          .min(1)
          .optional()
          .describe('Only fences below this one: `next` of the page before.'),
      }),
      response: { 200: historyView },
    },
    handler: async (request) => {
      const { limit, before } = request.query
      return turns.history(request.params.queue, {
        ...(limit === undefined ? {} : { limit }),
        ...(before === undefined ? {} : { before }),
      })
    },
  })
}
