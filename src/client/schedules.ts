/**
 * `SchedulesApi` at a distance: the routes under `/api/v1/schedules`. The server knows who calls; whom the caller names in `by` is
 * not sent.
 */
import { z } from 'zod'
import { createdRun } from '../runs/api.ts'
import {
  backfillView,
  previewView,
  savedSchedule,
  scheduleList,
  scheduleView,
  type SaveOptions,
  type ScheduleFilter,
  type SchedulesApi,
} from '../schedules/api.ts'
import { query } from './query.ts'
import type { Transport } from './transport.ts'

const empty = z.object({})

/** Works on the server that `transport` reaches. Each call is sent once; see `SchedulesApi` for what it throws. */
export function schedulesOver(transport: Transport): SchedulesApi {
  return {
    put: ({ name, ...definition }, options) =>
      transport.call({
        ...(options.expect === 'absent'
          ? { method: 'POST', path: `/api/v1/schedules${saveQuery(options)}`, body: { name, ...definition } }
          : { method: 'PUT', path: schedulePath(name) + saveQuery(options), body: definition }),
        headers: ifMatch(options),
        answer: savedSchedule,
      }),
    update: (name, patch, options) =>
      transport.call({
        method: 'PATCH',
        path: schedulePath(name) + saveQuery(options),
        body: patch,
        headers: ifMatch(options),
        answer: scheduleView,
      }),
    async delete(name) {
      await transport.call({ method: 'DELETE', path: schedulePath(name), answer: empty })
    },
    get: (name) => transport.call({ method: 'GET', path: schedulePath(name), answer: scheduleView }),
    list: (filter = {}) =>
      transport.call({
        method: 'GET',
        path: `/api/v1/schedules${query(filterQuery(filter))}`,
        answer: scheduleList,
      }),
    pause: (name, { reason }) =>
      transport.call({
        method: 'POST',
        path: `${schedulePath(name)}/pause`,
        body: reason === undefined ? {} : { reason },
        answer: scheduleView,
      }),
    resume: (name) =>
      transport.call({ method: 'POST', path: `${schedulePath(name)}/resume`, answer: scheduleView }),
    run: (name, request) =>
      transport.call({
        method: 'POST',
        path: `${schedulePath(name)}/run`,
        body: request,
        answer: createdRun,
      }),
    backfill: (name, request) =>
      transport.call({
        method: 'POST',
        path: `${schedulePath(name)}/backfill`,
        body: request,
        answer: backfillView,
      }),
    preview: (request) =>
      transport.call({
        method: 'GET',
        path: `/api/v1/schedules-preview${query(request)}`,
        answer: previewView,
      }),
  }
}

function saveQuery({ unknownJob }: Pick<SaveOptions, 'unknownJob'>): string {
  return query({ unknownJob: unknownJob === true ? 'true' : undefined })
}

function ifMatch({ expect }: Pick<SaveOptions, 'expect'>): Record<string, string> {
  return typeof expect === 'number' ? { 'if-match': `"${expect}"` } : {}
}

function filterQuery({ enabled, ...rest }: ScheduleFilter): Record<string, string | number | undefined> {
  return { ...rest, enabled: enabled === undefined ? undefined : String(enabled) }
}

function schedulePath(name: string): string {
  return `/api/v1/schedules/${encodeURIComponent(name)}`
}
