/**
 * Creating, replacing, changing and deleting schedules. `If-Match: "<rev>"` makes a change depend on what was read: another `rev`
 * is a conflict.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { SignalboxError } from '../kernel/error.ts'
import { nameFilter, type Noun, type Principal } from '../ports/access.ts'
import {
  savedSchedule,
  scheduleBody,
  scheduleDefinition,
  schedulePatch,
  scheduleView,
  type SavedSchedule,
  type SaveOptions,
  type ScheduleView,
} from './api.ts'
import { onSchedule, onSome, scheduleParams, tags, type App } from './http.ts'
import type { SchedulesService } from './service.ts'

const saveQuery = z.object({
  unknownJob: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .optional()
    .describe('Save it although no worker has told of its job yet.'),
})
type SaveQuery = z.infer<typeof saveQuery>

const saved = { 200: savedSchedule, 201: savedSchedule }

export function definitionRoutes(app: App, schedules: SchedulesService): void {
  app.route({
    method: 'POST',
    url: '/api/v1/schedules',
    config: onSome('operator'),
    schema: {
      tags,
      operationId: 'createSchedule',
      summary: 'Create a schedule; a conflict if there is one of this name',
      querystring: saveQuery,
      body: scheduleDefinition,
      response: saved,
    },
    handler: async ({ body, query, principal }, reply) => {
      demand(principal, 'schedules', body.name)
      demand(principal, 'jobs', body.job)
      return answer(await schedules.put(body, { ...optionsOf(query, principal), expect: 'absent' }), reply)
    },
  })
  app.route({
    method: 'PUT',
    url: '/api/v1/schedules/:name',
    config: onSchedule('operator'),
    schema: {
      tags,
      operationId: 'putSchedule',
      summary: 'Create a schedule, or replace its definition wholly',
      params: scheduleParams,
      querystring: saveQuery,
      body: scheduleBody,
      response: saved,
    },
    handler: async (request, reply) => {
      const { body, query, principal } = request
      const { name } = request.params
      demand(principal, 'jobs', body.job)
      const rev = expectedRev(request)
      const absent = request.headers['if-none-match'] === '*' ? ('absent' as const) : undefined
      const expect = rev ?? absent
      const options = { ...optionsOf(query, principal), ...(expect === undefined ? {} : { expect }) }
      return answer(await schedules.put({ ...body, name }, options), reply)
    },
  })
  app.route({
    method: 'PATCH',
    url: '/api/v1/schedules/:name',
    config: onSchedule('operator'),
    schema: {
      tags,
      operationId: 'updateSchedule',
      summary: 'Change what is named; null takes an optional key away',
      params: scheduleParams,
      querystring: saveQuery,
      body: schedulePatch,
      response: { 200: scheduleView },
    },
    handler: async (request, reply) => {
      const { body, query, principal } = request
      const { name } = request.params
      if (body.job !== undefined) demand(principal, 'jobs', body.job)
      const given = expectedRev(request)
      const own = await demandOwnJob(schedules, name, principal)
      // Only the state that was judged may be changed: another may be of another job.
      if (own !== undefined && given !== undefined && given !== own.rev) throw stale(name, given)
      const expect = given ?? own?.rev
      const options = { ...optionsOf(query, principal), ...(expect === undefined ? {} : { expect }) }
      return tagged(await schedules.update(name, body, options), reply)
    },
  })
  app.route({
    method: 'DELETE',
    url: '/api/v1/schedules/:name',
    config: onSchedule('operator'),
    schema: {
      tags,
      operationId: 'deleteSchedule',
      summary: 'Delete a schedule; its runs stay',
      params: scheduleParams,
      response: { 200: z.object({}) },
    },
    handler: async ({ params: { name }, principal }) => {
      await schedules.delete(name, { by: principal.name })
      return {}
    },
  })
}

/**
 * Of a caller whose scopes do not allow everything, the job that the schedule has now.
 * @returns the schedule as it was judged; undefined where nothing had to be, or there is none yet
 * @throws SignalboxError `permission_denied`
 */
export async function demandOwnJob(
  schedules: Pick<SchedulesService, 'get'>,
  name: string,
  principal: Principal,
): Promise<ScheduleView | undefined> {
  if (principal.scopes.length === 0) return undefined
  const view = await schedules.get(name).catch((error: unknown) => {
    if (error instanceof SignalboxError && error.code === 'not_found') return undefined
    throw error
  })
  if (view !== undefined) demand(principal, 'jobs', view.job)
  return view
}

/** @throws SignalboxError `permission_denied` unless the caller may act on that one */
function demand(principal: Principal, noun: Noun, name: string): void {
  if (nameFilter(principal, noun)(name)) return
  const what = noun === 'jobs' ? 'job' : 'schedule'
  throw new SignalboxError(
    'permission_denied',
    `this token may not act on ${what} '${name}'; its scopes allow others (it would need ${noun}:${name})`,
  )
}

function stale(name: string, rev: number): SignalboxError {
  return new SignalboxError('conflict', `schedule '${name}' is not at rev ${rev}; read it again and repeat`)
}

function optionsOf({ unknownJob }: SaveQuery, { name }: Principal): Omit<SaveOptions, 'expect'> {
  return { by: name, ...(unknownJob === undefined ? {} : { unknownJob }) }
}

/** What `If-Match` says. @throws SignalboxError `invalid_argument` */
function expectedRev({ headers }: FastifyRequest): number | undefined {
  const text = headers['if-match']
  if (text === undefined) return undefined
  const [, rev] = /^"?(\d{1,15})"?$/.exec(text.trim()) ?? []
  if (rev !== undefined) return Number(rev)
  throw new SignalboxError('invalid_argument', `if-match: '${text.slice(0, 40)}' must be a rev, such as "3"`)
}

function answer(result: SavedSchedule, reply: FastifyReply): SavedSchedule {
  void reply.code(result.created ? 201 : 200)
  tagged(result.schedule, reply)
  return result
}

function tagged(view: ScheduleView, reply: FastifyReply): ScheduleView {
  void reply.header('etag', `"${view.rev}"`)
  return view
}
