/** What operators do with a schedule: pause, resume, run now, make up for a range of times. */
import { createdRun } from '../runs/api.ts'
import { demandSchedules } from '../runs/scopes.ts'
import { backfillBody, backfillView, pauseBody, runScheduleBody, scheduleView } from './api.ts'
import { demandOwnJob } from './http-definitions.ts'
import { onSchedule, scheduleParams, tags, type App } from './http.ts'
import type { SchedulesService } from './service.ts'

export function operatorRoutes(app: App, schedules: SchedulesService): void {
  app.route({
    method: 'POST',
    url: '/api/v1/schedules/:name/pause',
    config: onSchedule('operator'),
    schema: {
      tags,
      operationId: 'pauseSchedule',
      summary: 'Stop firing until it is resumed',
      params: scheduleParams,
      body: pauseBody,
      response: { 200: scheduleView },
    },
    handler: async ({ params: { name }, body: { reason }, principal }) =>
      schedules.pause(name, { by: principal.name, ...(reason === undefined ? {} : { reason }) }),
  })
  app.route({
    method: 'POST',
    url: '/api/v1/schedules/:name/resume',
    config: onSchedule('operator'),
    schema: {
      tags,
      operationId: 'resumeSchedule',
      summary: 'Fire again, from the next time on',
      params: scheduleParams,
      response: { 200: scheduleView },
    },
    handler: async ({ params: { name }, principal }) => {
      await demandOwnJob(schedules, name, principal)
      return schedules.resume(name, { by: principal.name })
    },
  })
  app.route({
    method: 'POST',
    url: '/api/v1/schedules/:name/run',
    config: onSchedule('operator'),
    schema: {
      tags,
      operationId: 'runSchedule',
      summary: 'A run now, beside the times of the schedule',
      params: scheduleParams,
      body: runScheduleBody,
      response: { 200: createdRun },
    },
    handler: async (request) => {
      const { body, principal } = request
      const { name } = request.params
      const own = await demandOwnJob(schedules, name, principal)
      if (body.id !== undefined && own !== undefined)
        demandSchedules(principal, [{ id: `${own.job}:${body.id}` }])
      return schedules.run(name, body, { by: principal.name })
    },
  })
  app.route({
    method: 'POST',
    url: '/api/v1/schedules/:name/backfill',
    config: onSchedule('operator'),
    schema: {
      tags,
      operationId: 'backfillSchedule',
      summary: 'Runs for the times of a past range that have none that ran',
      params: scheduleParams,
      body: backfillBody,
      response: { 200: backfillView },
    },
    handler: async ({ params: { name }, body, principal }) => {
      await demandOwnJob(schedules, name, principal)
      return schedules.backfill(name, body, { by: principal.name })
    },
  })
}
