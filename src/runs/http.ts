/**
 * The HTTP face of runs and jobs: `/api/v1/runs`, what workers at a distance call there (http-work.ts), and `/api/v1/jobs`. All of
 * it belongs to the noun `jobs`; a run's id begins with its job, so a token's scope is judged by the id alone.
 *
 * The list turns into a live stream for a client that asks for `text/event-stream`; one run has its stream of events.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { Clock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import { nameFilter, type Access } from '../ports/access.ts'
import { streamSnapshots, wantsStream } from '../ports/event-stream.ts'
import {
  cancelBody,
  createdRun,
  jobList,
  jobName,
  jobOf,
  jobView,
  logPage,
  registerBody,
  runId,
  runList,
  runNowBody,
  runStates,
  runView,
  type RunState,
} from './api.ts'
import { afterOf, streamRun } from './http-events.ts'
import { workRoutes } from './http-work.ts'
import type { ListRequest } from './lists.ts'
import { demandJobs, demandSchedules } from './scopes.ts'
import type { RunsService } from './service.ts'

export type App = FastifyInstance<any, any, any, any, ZodTypeProvider> // oxlint-disable-line typescript/no-explicit-any -- raw server types differ by listener

export interface RunsFaceOptions {
  readonly runs: RunsService
  readonly clock: Clock
}

const tags = ['jobs']
export const runParams = z.object({ id: runId })
const jobParams = z.object({ name: jobName })
/** What a call on one run demands. */
export const onRun = (
  role: Access['role'],
): { readonly access: Access; readonly resource: (request: FastifyRequest) => string } => ({
  access: { role, noun: 'jobs', param: 'id' },
  resource: ({ params }) => jobOf((params as { readonly id: string }).id),
})
/** Any scope of the noun may call; what it may see or touch, the handler decides. */
export const onSome = (role: Access['role']): { readonly access: Access } => ({
  access: { role, noun: 'jobs', filtered: true },
})
const onJob = (role: Access['role']): { readonly access: Access } => ({
  access: { role, noun: 'jobs', param: 'name' },
})

/** @example app.register(runsFace({ runs, clock })) */
export function runsFace({ runs, clock }: RunsFaceOptions): (app: App) => Promise<void> {
  return async (app) => {
    listRoute(app, runs, clock)
    runRoutes(app, runs, clock)
    operatorRoutes(app, runs)
    workRoutes(app, runs, clock)
    jobRoutes(app, runs)
  }
}

const time = z.iso.datetime({ offset: true })
const listQuery = z.object({
  state: z
    .string()
    .transform((text) => text.split(',').map((state) => state.trim()))
    .pipe(z.array(z.enum(runStates)))
    .optional()
    .describe('One state, or several with commas between.'),
  job: jobName.optional(),
  schedule: z
    .string()
    .regex(/^[\x21-\x7e]{1,100}$/)
    .optional(),
  from: time.optional().describe('Created then or later.'),
  to: time.optional().describe('Created before then.'),
  text: z
    .string()
    .max(200)
    .optional()
    .describe(
      'In id, queue, worker, schedule, error, reason or the beginning of the input; among the newest 10,000.',
    ),
  limit: z.coerce.number().int().min(1).max(1_000).optional(),
  after: z
    .string()
    .regex(/^\d{15}$/)
    .optional()
    .describe('The `next` of the page before.'),
})

function listRoute(app: App, runs: RunsService, clock: Clock): void {
  app.route({
    method: 'GET',
    url: '/api/v1/runs',
    config: onSome('viewer'),
    schema: {
      tags,
      operationId: 'listRuns',
      summary: 'Runs, newest first; with Accept: text/event-stream a live stream',
      querystring: listQuery,
      response: { 200: runList },
    },
    handler: async (request, reply) => {
      const filter = filterOf(request.query)
      const { principal } = request
      const list: ListRequest =
        principal.scopes.length === 0 ? filter : { ...filter, visible: nameFilter(principal, 'jobs') }
      if (!wantsStream(request)) return runs.list(list)
      const ended = new AbortController()
      reply.raw.once('close', () => ended.abort())
      streamSnapshots(reply, {
        clock,
        onChange: (listener) => {
          void (async () => {
            for await (const _ of runs.followList(filter.states ?? runStates, ended.signal)) listener()
          })().catch(() => undefined)
          return () => ended.abort()
        },
        snapshot: async () => ({ event: 'runs', data: await runs.list(list) }),
      })
      return reply
    },
  })
}

function filterOf({ state, from, to, ...query }: z.infer<typeof listQuery>): ListRequest {
  const { job, schedule, text, limit, after } = query
  return {
    ...(state === undefined ? {} : { states: state satisfies readonly RunState[] }),
    ...(from === undefined ? {} : { from: Date.parse(from) }),
    ...(to === undefined ? {} : { to: Date.parse(to) }),
    ...(job === undefined ? {} : { job }),
    ...(schedule === undefined ? {} : { schedule }),
    ...(text === undefined ? {} : { text }),
    ...(limit === undefined ? {} : { limit }),
    ...(after === undefined ? {} : { after }),
  }
}

function runRoutes(app: App, runs: RunsService, clock: Clock): void {
  app.route({
    method: 'GET',
    url: '/api/v1/runs/:id',
    config: onRun('viewer'),
    schema: {
      tags,
      operationId: 'showRun',
      summary: 'One run',
      params: runParams,
      response: { 200: runView },
    },
    handler: async ({ params: { id } }) => runs.get(id),
  })
  app.route({
    method: 'GET',
    url: '/api/v1/runs/:id/log',
    config: onRun('viewer'),
    schema: {
      tags,
      operationId: 'readRunLog',
      summary: 'Lines of a run’s log, in order',
      params: runParams,
      querystring: z.object({
        after: z.coerce.number().int().min(0).optional().describe('Only lines with a greater number.'),
        limit: z.coerce.number().int().min(1).max(10_000).optional().describe('Default 1000.'),
      }),
      response: { 200: logPage },
    },
    handler: async ({ params: { id }, query: { after, limit } }) =>
      runs.readLog(id, {
        ...(after === undefined ? {} : { after }),
        ...(limit === undefined ? {} : { limit }),
      }),
  })
  app.route({
    method: 'GET',
    url: '/api/v1/runs/:id/events',
    config: onRun('viewer'),
    schema: {
      tags,
      operationId: 'followRun',
      summary: 'A stream of what happens to a run (server-sent events), resumable by Last-Event-ID',
      params: runParams,
      querystring: z.object({ after: z.string().optional().describe('Like Last-Event-ID.') }),
    },
    handler: async (request, reply) => {
      if (!wantsStream(request)) {
        throw new SignalboxError('invalid_argument', 'this is a stream; ask with Accept: text/event-stream')
      }
      const { params, query, headers } = request
      const after = afterOf(headers['last-event-id'] ?? query.after)
      await streamRun(reply, { runs, clock, id: params.id, after })
      return reply
    },
  })
}

function operatorRoutes(app: App, runs: RunsService): void {
  app.route({
    method: 'POST',
    url: '/api/v1/runs/:id/cancel',
    config: onRun('operator'),
    schema: {
      tags,
      operationId: 'cancelRun',
      summary: 'End a queued run, or ask the worker of a running one to stop',
      params: runParams,
      body: cancelBody,
      response: { 200: runView },
    },
    handler: async ({ params: { id }, body: { reason }, principal }) =>
      runs.cancel(id, { by: principal.name, ...(reason === undefined ? {} : { reason }) }),
  })
  app.route({
    method: 'POST',
    url: '/api/v1/runs/:id/restart',
    config: onRun('operator'),
    schema: {
      tags,
      operationId: 'restartRun',
      summary: 'A new run with the same input',
      params: runParams,
      response: { 200: runView },
    },
    handler: async ({ params: { id }, principal }) => runs.restart(id, { by: principal.name }),
  })
}

function jobRoutes(app: App, runs: RunsService): void {
  app.route({
    method: 'GET',
    url: '/api/v1/jobs',
    config: onSome('viewer'),
    schema: {
      tags,
      operationId: 'listJobs',
      summary: 'Jobs that workers run, by name, with their kept runs by state',
      response: { 200: jobList },
    },
    handler: async ({ principal }) => {
      const visible = nameFilter(principal, 'jobs')
      return { jobs: (await runs.listJobs()).filter(({ name }) => visible(name)) }
    },
  })
  app.route({
    method: 'POST',
    url: '/api/v1/jobs',
    config: onSome('operator'),
    schema: {
      tags,
      operationId: 'registerJobs',
      summary: 'A worker says what jobs it runs; once a minute',
      body: registerBody,
      response: { 200: z.object({}) },
    },
    handler: async (request) => {
      const { jobs, worker } = request.body
      demandJobs(
        request.principal,
        jobs.map(({ name: job, queue }) => ({ job, queue })),
      )
      await runs.registerJobs(jobs, worker)
      return {}
    },
  })
  app.route({
    method: 'GET',
    url: '/api/v1/jobs/:name',
    config: onJob('viewer'),
    schema: {
      tags,
      operationId: 'showJob',
      summary: 'One job',
      params: jobParams,
      response: { 200: jobView },
    },
    handler: async ({ params: { name } }) => runs.getJob(name),
  })
  app.route({
    method: 'POST',
    url: '/api/v1/jobs/:name/runs',
    config: onJob('operator'),
    schema: {
      tags,
      operationId: 'runJob',
      summary: 'Run a job now; its input is checked by the schema its worker told',
      params: jobParams,
      body: runNowBody,
      response: { 200: createdRun },
    },
    handler: async (request) => {
      const { input, id, delayMs } = request.body
      const { name } = request.params
      if (id !== undefined) demandSchedules(request.principal, [{ id: `${name}:${id}` }])
      return runs.runNow(
        name,
        {
          ...(input === undefined ? {} : { input }),
          ...(id === undefined ? {} : { id }),
          ...(delayMs === undefined ? {} : { delayMs }),
        },
        request.principal.name,
      )
    },
  })
}
