/** `SchedulesApi` on a store: puts the parts together. What must hold stands in their headers: records, rules, claim, held, fire, saving. */
import type { TriggerEvent, TriggerRule } from '../ports/trigger.ts'
import type { CreatedRun } from '../runs/api.ts'
import type {
  Backfill,
  BackfillView,
  Preview,
  PreviewView,
  RunSchedule,
  SavedSchedule,
  SaveOptions,
  ScheduleDefinition,
  ScheduleInput,
  ScheduleList,
  SchedulePatch,
  ScheduleView,
} from './api.ts'
import { backfill, runNow } from './backfill.ts'
import { KnownJobs, nowOf, problemOf, unknownSchedule } from './context.ts'
import type { Fired, SchedulesService, SchedulesServiceOptions } from './contract.ts'
import { ruleOf } from './definition.ts'
import { Firing } from './fire.ts'
import { followSchedules, Hints } from './hints.ts'
import { HeldRuns, MAX_LIVE } from './held.ts'
import { listSchedules, readRows, type ListRequest } from './listing.ts'
import { preview } from './preview.ts'
import { load, rowOf, type Stored } from './records.ts'
import { enable, put, remove, update, type Saved, type SavingContext } from './saving.ts'
import { Scheduler } from './scheduler.ts'
import { lastRunOf, rowView, scheduleViewOf, triggerState } from './views.ts'

export type * from './contract.ts'

export function createSchedulesService(options: SchedulesServiceOptions): SchedulesService {
  return new StoreSchedules(options)
}

/** Where others fire: an event that has not come by then is taken for lost. */
export const EXTERNAL_GRACE_MS = 15 * 60_000
const POLL_OWN_MS = 1_000
const POLL_SHARED_MS = 5_000

class StoreSchedules implements SchedulesService {
  readonly #options: SchedulesServiceOptions
  readonly #context: SavingContext
  readonly #held: HeldRuns
  readonly #scheduler: Scheduler
  readonly #firing: Firing
  readonly #hints = new Hints()
  readonly #closing = new AbortController()

  constructor(options: SchedulesServiceOptions) {
    const { store, clock, random, runs, trigger, objection, channels } = options
    this.#options = options
    const external = trigger === 'eventbridge' || trigger === 'eventbridge-scheduler'
    this.#context = {
      store,
      clock,
      random,
      runs,
      external,
      off: trigger === 'off',
      graceMs: external ? EXTERNAL_GRACE_MS : 0,
      jobs: new KnownJobs({ store, clock }),
      event: (event) => options.onEvent?.(event),
      beside: (notice) => options.beside?.(notice) ?? [],
      expect: (at) => this.#scheduler.expect(at),
      holds: (name) => this.#held.add(name),
      changed: () => this.#hints.give(),
      closing: this.#closing.signal,
      objection,
      channels,
    }
    this.#held = new HeldRuns(this.#context)
    this.#firing = new Firing(this.#context)
    this.#scheduler = new Scheduler({
      context: this.#context,
      held: this.#held,
      pollMs: options.pollMs ?? (store.watch === undefined ? POLL_SHARED_MS : POLL_OWN_MS),
      fires: trigger !== 'off',
    })
  }

  async put(schedule: ScheduleInput, options: SaveOptions): Promise<SavedSchedule> {
    const saved = await put(this.#context, schedule, options)
    this.#changed(schedule.name)
    return { schedule: await this.#view(saved.stored), created: saved.created }
  }

  async update(
    name: string,
    patch: SchedulePatch,
    options: Omit<SaveOptions, 'expect'> & { readonly expect?: number },
  ): Promise<ScheduleView> {
    return this.#saved(name, update(this.#context, name, patch, options))
  }

  async pause(
    name: string,
    options: { readonly by: string; readonly reason?: string },
  ): Promise<ScheduleView> {
    return this.#saved(name, enable(this.#context, name, false, options))
  }

  async resume(name: string, options: { readonly by: string }): Promise<ScheduleView> {
    return this.#saved(name, enable(this.#context, name, true, options))
  }

  async delete(name: string, options: { readonly by: string }): Promise<void> {
    await remove(this.#context, name, options)
    this.#changed(name)
  }

  async get(name: string): Promise<ScheduleView> {
    return this.#view((await this.#load(name)).stored)
  }

  list(filter: ListRequest = {}): Promise<ScheduleList> {
    const { store } = this.#options
    return listSchedules(store, filter, async (row) => {
      const stored = (await load(store, row.name))?.stored
      const last = stored === undefined ? undefined : await lastRunOf(store, stored)
      const now = nowOf(this.#options)
      return rowView(row, { stored, last, trigger: this.#triggerOf(row.name), now })
    })
  }

  async run(name: string, request: RunSchedule, options: { readonly by: string }): Promise<CreatedRun> {
    return runNow(this.#context, name, request, options)
  }

  async backfill(name: string, request: Backfill, options: { readonly by: string }): Promise<BackfillView> {
    return backfill(this.#context, name, request, options)
  }

  async preview(request: Preview): Promise<PreviewView> {
    return preview(request, nowOf(this.#options))
  }

  fire(event: TriggerEvent): Promise<Fired> {
    return this.#firing.fire(event)
  }

  async rules(): Promise<readonly TriggerRule[]> {
    const rows = await readRows(this.#options.store)
    return rows.map((row) => ruleOf(row)).sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  async rule(name: string): Promise<TriggerRule | undefined> {
    const loaded = await load(this.#options.store, name)
    return loaded && ruleOf(rowOf(loaded.stored.definition, loaded.stored.anchor))
  }

  async notifyOf(schedule: string): Promise<ScheduleDefinition['notify']> {
    return (await load(this.#options.store, schedule))?.stored.definition.notify
  }

  follow(signal: AbortSignal): AsyncIterable<void> {
    return followSchedules(this.#options, this.#hints, AbortSignal.any([signal, this.#closing.signal]))
  }

  runEnded(schedule: string): void {
    this.#held.ended(schedule)
    this.#hints.give()
  }

  async start(): Promise<void> {
    this.#scheduler.start()
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#scheduler.close()
    await this.#held.idle()
  }

  async #saved(name: string, saving: Promise<Saved>): Promise<ScheduleView> {
    const { stored } = await saving
    this.#changed(name)
    return this.#view(stored)
  }

  #changed(name: string): void {
    this.#hints.give()
    this.#options.onChange?.(name)
  }

  async #load(name: string): Promise<{ readonly stored: Stored }> {
    const loaded = await load(this.#options.store, name)
    if (loaded === undefined) throw unknownSchedule(name)
    return loaded
  }

  async #view(stored: Omit<Stored, 'due'>): Promise<ScheduleView> {
    const { store, runs } = this.#options
    const { definition, held } = stored
    const { name } = definition
    const manifest = await this.#context.jobs.find(definition.job)
    const live = held === undefined ? [] : await runs.liveOf(name, MAX_LIVE)
    return scheduleViewOf({
      stored,
      manifest,
      problem: problemOf(definition, manifest),
      held: live.filter((run) => run.held).length,
      last: await lastRunOf(store, stored),
      trigger: this.#triggerOf(name),
      now: nowOf(this.#options),
    })
  }

  #triggerOf(name: string): ScheduleView['trigger'] {
    const { trigger, triggerStateOf } = this.#options
    return triggerState(trigger, triggerStateOf?.(name))
  }
}
