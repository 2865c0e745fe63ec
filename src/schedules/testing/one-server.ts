/** Schedules in tests of one service: on runs and their world, with a job that has a schema and a secret. */
import { seededRandom } from '../../kernel/id.ts'
import type { FaultPlan, MemoryStore } from '../../drivers/memory/index.ts'
import { world, type World } from '../../runs/testing/world.ts'
import type { JobManifest } from '../../runs/api.ts'
import type { RunsService } from '../../runs/service.ts'
import type { ScheduleInput } from '../api.ts'
import type { ScheduleEvent, SchedulesServiceOptions } from '../contract.ts'
import { createSchedulesService, type SchedulesService } from '../service.ts'

export const report: JobManifest = {
  name: 'report',
  queue: 'default',
  attempts: 2,
  input: {
    type: 'object',
    properties: { to: { type: 'string' }, password: { type: 'string' } },
  },
  secrets: ['password'],
}

export interface OneServer extends World {
  readonly schedules: SchedulesService
  readonly told: ScheduleEvent[]
  /** One more server on the same data. */
  another(
    options?: Partial<SchedulesServiceOptions> & { readonly seed?: number; readonly faults?: FaultPlan },
  ): {
    readonly schedules: SchedulesService
    readonly runs: RunsService
    readonly store: MemoryStore
  }
  /** Every minute, unless it says otherwise. */
  put(schedule: Partial<ScheduleInput>): Promise<void>
}

/** At noon of 1 March 2026; the job is registered. */
export async function oneServer(options: Partial<SchedulesServiceOptions> = {}): Promise<OneServer> {
  const base = world()
  base.clock.jump(Date.parse('2026-03-01T12:00:00Z') - base.clock.now())
  const told: ScheduleEvent[] = []
  const make = (
    { store, runs }: { readonly store: MemoryStore; readonly runs: RunsService },
    { seed = 5, ...more }: Partial<SchedulesServiceOptions> & { readonly seed?: number },
  ): SchedulesService =>
    createSchedulesService({
      store,
      clock: base.clock,
      random: seededRandom(seed),
      runs,
      trigger: 'embedded',
      onEvent: (event) => told.push(event),
      ...more,
    })
  const schedules = make(base, options)
  await base.runs.registerJobs([report], 'w1')
  return {
    ...base,
    schedules,
    told,
    another({ seed = 9, faults = {}, ...more } = {}) {
      const { runs, store } = base.service({ seed, faults })
      return { runs, store, schedules: make({ runs, store }, { ...options, ...more, seed }) }
    },
    async put(schedule) {
      await schedules.put(
        { name: 's', job: 'report', expression: 'cron(* * * * ? *)', ...schedule },
        { by: 'ann' },
      )
    },
  }
}

/** `12:01 queued`, by time. */
export async function runsOf(runs: RunsService, schedule = 's'): Promise<string[]> {
  const list = await runs.list({ schedule, limit: 1_000 })
  return list.runs
    .map(
      ({ scheduledAt = '-', state, held }) =>
        `${scheduledAt.slice(11, 16)} ${state}${held === undefined ? '' : ' held'}`,
    )
    .sort()
}
