/** What workers and enqueuers at a distance call: the same as `RunsApi`, for operators. */
import { z } from 'zod'
import type { Clock } from '../kernel/clock.ts'
import { nameFilter } from '../ports/access.ts'
import {
  beatAnswer,
  beatBody,
  claimBody,
  claimView,
  createBody,
  createdList,
  finishBody,
  finishView,
  jobOf,
  logBody,
  orderPage,
  ordersBody,
} from './api.ts'
import { onRun, onSome, runParams, type App } from './http.ts'
import { demandJobs, demandSchedules } from './scopes.ts'
import type { RunsService } from './service.ts'

const tags = ['jobs']

export function workRoutes(app: App, runs: RunsService, clock: Clock): void {
  app.route({
    method: 'POST',
    url: '/api/v1/runs',
    config: onSome('operator'),
    schema: {
      tags,
      operationId: 'createRuns',
      summary: 'Record runs and wake workers',
      body: createBody,
      response: { 200: createdList },
    },
    handler: async (request) => {
      demandJobs(request.principal, request.body.runs)
      demandSchedules(request.principal, request.body.runs)
      return { runs: [...(await runs.createMany(request.body.runs))] }
    },
  })
  app.route({
    method: 'POST',
    url: '/api/v1/runs/:id/claim',
    config: onRun('operator'),
    schema: {
      tags,
      operationId: 'claimRun',
      summary: 'Begin an attempt, if the run is queued and due',
      params: runParams,
      body: claimBody,
      response: { 200: claimView },
    },
    handler: async ({ params: { id }, body: { nonce, ...claim } }) =>
      runs.claim(id, { ...claim, ...(nonce === undefined ? {} : { nonce }) }),
  })
  app.route({
    method: 'POST',
    url: '/api/v1/runs/:id/beat',
    config: onRun('operator'),
    schema: {
      tags,
      operationId: 'beatRun',
      summary: 'Prolong a claim',
      params: runParams,
      body: beatBody,
      response: { 200: beatAnswer },
    },
    handler: async ({ params: { id }, body: { epoch, leaseMs, progress } }) =>
      runs.beat(id, epoch, { leaseMs, ...(progress === undefined ? {} : { progress }) }),
  })
  app.route({
    method: 'POST',
    url: '/api/v1/runs/:id/finish',
    config: onRun('operator'),
    schema: {
      tags,
      operationId: 'finishRun',
      summary: 'End an attempt',
      params: runParams,
      body: finishBody,
      response: { 200: finishView },
    },
    handler: async ({ params: { id }, body: { epoch, outcome } }) => runs.finish(id, epoch, outcome),
  })
  app.route({
    method: 'POST',
    url: '/api/v1/runs/:id/log',
    config: onRun('operator'),
    schema: {
      tags,
      operationId: 'logRun',
      summary: 'Add lines to the log of a claim that is held',
      params: runParams,
      body: logBody,
      response: { 200: z.object({}) },
    },
    handler: async ({ params: { id }, body: { epoch, lines, from } }) => {
      await runs.log(id, epoch, lines, from)
      return {}
    },
  })
  app.route({
    method: 'POST',
    url: '/api/v1/runs/orders',
    config: onSome('operator'),
    schema: {
      tags,
      operationId: 'runOrders',
      summary: 'Orders to stop runs that a worker has claimed; waits for one. Some may come again',
      body: ordersBody,
      response: { 200: orderPage },
    },
    handler: async ({ body: { worker, after, waitMs = 0 }, principal }, reply) => {
      const visible = nameFilter(principal, 'jobs')
      const over = new AbortController()
      const timer = clock.timer(waitMs, () => over.abort())
      reply.raw.once('close', () => over.abort())
      try {
        const { orders, next } = await runs.orders(worker, after, waitMs > 0 ? over.signal : undefined)
        return { orders: orders.filter(({ id }) => visible(jobOf(id))), next }
      } finally {
        timer.cancel()
        over.abort()
      }
    },
  })
}
