/**
 * What schedules offer to people: the vocabulary and one interface, `SchedulesApi`, which the service implements next to a store and
 * the HTTP client at a distance.
 *
 * A *schedule* says when runs of a job are made: a unique name, the job, an expression in a time zone, the job's parameters. What
 * fires is a *time* of the schedule, and each time has one run at most, whoever fires it and how often.
 */
import type { CreatedRun } from '../runs/api.ts'
import type { BackfillView, PreviewView, SavedSchedule, ScheduleList, ScheduleView } from './api-views.ts'
import type { ScheduleInput, SchedulePatch } from './vocabulary.ts'
import type { z } from 'zod'
import type { backfillBody, previewBody, runScheduleBody } from './vocabulary.ts'

export * from './api-views.ts'
export * from './trigger-api.ts'
export * from './vocabulary.ts'

export interface ScheduleFilter {
  readonly job?: string
  readonly enabled?: boolean
  /** In name, job, description or expression; upper and lower case are the same. */
  readonly text?: string
  /** 1–1,000; default 50. */
  readonly limit?: number
  /** The `next` of the page before. */
  readonly after?: string
}

export interface SaveOptions {
  /** Who does it; a server knows who calls. */
  readonly by: string
  /** `absent`: only if there is none of this name; a number: only if its `rev` is still this. Default: either way. */
  readonly expect?: 'absent' | number
  /** Save it although no worker has registered its job yet; its parameters are checked when it fires. */
  readonly unknownJob?: boolean
}

export type Backfill = z.infer<typeof backfillBody>
export type RunSchedule = z.infer<typeof runScheduleBody>
export type Preview = z.infer<typeof previewBody>

/** All calls may be repeated after a lost answer. @throws SignalboxError `throttled`, `unavailable`, `outcome_unknown`, … */
export interface SchedulesApi {
  /**
   * Makes a schedule, or replaces its definition wholly. Times that were due under the old definition are not made up for.
   * @throws `invalid_argument` (expression, time zone, parameters), `not_found` (the job), `conflict` (`expect`)
   */
  put(schedule: ScheduleInput, options: SaveOptions): Promise<SavedSchedule>
  /** Changes what the patch names. @throws as `put`; `not_found` */
  update(
    name: string,
    patch: SchedulePatch,
    options: Omit<SaveOptions, 'expect'> & { readonly expect?: number },
  ): Promise<ScheduleView>
  /** Its runs stay. @throws `not_found` */
  delete(name: string, options: { readonly by: string }): Promise<void>
  /** @throws `not_found` */
  get(name: string): Promise<ScheduleView>
  /** By name. */
  list(filter?: ScheduleFilter): Promise<ScheduleList>
  /** It does not fire until `resume`, and what falls into that time is not made up for. @throws `not_found` */
  pause(name: string, options: { readonly by: string; readonly reason?: string }): Promise<ScheduleView>
  /** @throws `not_found` */
  resume(name: string, options: { readonly by: string }): Promise<ScheduleView>
  /** A run now, beside the schedule's times. @throws `not_found`, `invalid_argument` */
  run(name: string, request: RunSchedule, options: { readonly by: string }): Promise<CreatedRun>
  /** Runs for the times of a range in the past that have none that ran. @throws `not_found`, `invalid_argument` */
  backfill(name: string, request: Backfill, options: { readonly by: string }): Promise<BackfillView>
  /** What an expression says and when it would fire. @throws `invalid_argument` */
  preview(request: Preview): Promise<PreviewView>
}
