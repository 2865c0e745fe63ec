/**
 * The HTTP face of schedules: `/api/v1/schedules`, of the noun `schedules`, and what an expression means under
 * `/api/v1/schedules-preview`. The list turns into a live stream for a client that asks for `text/event-stream`.
 *
 * Invariant: a schedule starts runs of its job, so whoever saves, resumes or runs one may also act on that job: with scopes the
 * caller needs `jobs:<job>` beside `schedules:<name>`. A token for one schedule cannot be turned into one for any job.
 */
import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { sleep, type Clock } from '../kernel/clock.ts'
import { nameFilter, type Access } from '../ports/access.ts'
import { streamSnapshots, wantsStream } from '../ports/event-stream.ts'
import { jobName } from '../runs/api.ts'
import {
  previewBody,
  previewView,
  scheduleList,
  scheduleName,
  scheduleView,
  type Preview,
  type ScheduleFilter,
} from './api.ts'
import { definitionRoutes } from './http-definitions.ts'
import { operatorRoutes } from './http-operate.ts'
import type { SchedulesService } from './service.ts'

export type App = FastifyInstance<any, any, any, any, ZodTypeProvider> // oxlint-disable-line typescript/no-explicit-any -- raw server types differ by listener

export interface SchedulesFaceOptions {
  readonly schedules: SchedulesService
  readonly clock: Clock
}

export const tags = ['schedules']
export const scheduleParams = z.object({ name: scheduleName })
export const onSchedule = (role: Access['role']): { readonly access: Access } => ({
  access: { role, noun: 'schedules', param: 'name' },
})
/** Any scope of the noun may call; what it may see or touch, the handler decides. */
export const onSome = (role: Access['role']): { readonly access: Access } => ({
  access: { role, noun: 'schedules', filtered: true },
})

/** @example app.register(schedulesFace({ schedules, clock })) */
export function schedulesFace({ schedules, clock }: SchedulesFaceOptions): (app: App) => Promise<void> {
  return async (app) => {
    listRoute(app, schedules, clock)
    readRoutes(app, schedules)
    definitionRoutes(app, schedules)
    operatorRoutes(app, schedules)
  }
}

/** A list reads all rows, and something fires all the time where there are many: a stream rests so many times as long as a look took. */
const REST = 20

const count = z.coerce.number().int()
const listQuery = z.object({
  job: jobName.optional(),
  enabled: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional()
    .describe('Only those that fire, or only those that do not.'),
  text: z.string().max(200).optional().describe('In name, job, description or expression.'),
  limit: count.min(1).max(1_000).optional().describe('Default 50.'),
  after: z.string().max(200).optional().describe('The `next` of the page before.'),
})

function listRoute(app: App, schedules: SchedulesService, clock: Clock): void {
  app.route({
    method: 'GET',
    url: '/api/v1/schedules',
    config: onSome('viewer'),
    schema: {
      tags,
      operationId: 'listSchedules',
      summary: 'Schedules by name; with Accept: text/event-stream a live stream',
      querystring: listQuery,
      response: { 200: scheduleList },
    },
    handler: async (request, reply) => {
      const { principal } = request
      const visible = principal.scopes.length === 0 ? {} : { visible: nameFilter(principal, 'schedules') }
      const filter = { ...filterOf(request.query), ...visible }
      if (!wantsStream(request)) return schedules.list(filter)
      const ended = new AbortController()
      reply.raw.once('close', () => ended.abort())
      let tookMs = 0
      streamSnapshots(reply, {
        clock,
        onChange: (listener) => {
          void (async () => {
            for await (const _ of schedules.follow(ended.signal)) {
              listener()
              await sleep(clock, tookMs * REST, ended.signal)
            }
          })().catch(() => undefined)
          return () => ended.abort()
        },
        snapshot: async () => {
          const since = clock.monotonic()
          const data = await schedules.list(filter)
          tookMs = clock.monotonic() - since
          return { event: 'schedules', data }
        },
        ages: true,
      })
      return reply
    },
  })
}

function filterOf({ job, enabled, text, limit, after }: z.infer<typeof listQuery>): ScheduleFilter {
  return {
    ...(job === undefined ? {} : { job }),
    ...(enabled === undefined ? {} : { enabled }),
    ...(text === undefined ? {} : { text }),
    ...(limit === undefined ? {} : { limit }),
    ...(after === undefined ? {} : { after }),
  }
}

function readRoutes(app: App, schedules: SchedulesService): void {
  app.route({
    method: 'GET',
    url: '/api/v1/schedules/:name',
    config: onSchedule('viewer'),
    schema: {
      tags,
      operationId: 'showSchedule',
      summary: 'One schedule; its `rev` is the ETag',
      params: scheduleParams,
      response: { 200: scheduleView },
    },
    handler: async ({ params: { name } }, reply) => {
      const view = await schedules.get(name)
      void reply.header('etag', `"${view.rev}"`)
      return view
    },
  })
  app.route({
    method: 'GET',
    url: '/api/v1/schedules-preview',
    config: onSome('viewer'),
    schema: {
      tags,
      operationId: 'previewSchedule',
      summary: 'What an expression says, and when it would fire',
      querystring: previewBody.extend({ count: count.min(1).max(100).optional().describe('Default 5.') }),
      response: { 200: previewView },
    },
    handler: async ({ query }) => schedules.preview(query satisfies Preview),
  })
}
