/**
 * Where schedules are measured within this process: a data directory with so many of them on the embedded store, durable as on a
 * server (WAL, synchronous=FULL), and a clock that is moved by hand, so that a minute need not be waited for. Nothing goes over HTTP.
 */
import { openSqliteStore, type SqliteStore } from '../../src/drivers/sqlite/index.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import { ManualClock } from '../../src/kernel/manual-clock.ts'
import { createRunsService } from '../../src/runs/service.ts'
import type { ScheduleInput } from '../../src/schedules/api.ts'
import { createSchedulesService, type SchedulesService } from '../../src/schedules/service.ts'
import { temporaryFolder } from '../../test/support/processes.ts'

/** Longer than anything here: the scheduler sleeps until a schedule is due. */
const POLL_MS = 86_400_000
const AT_ONCE = 500
export const JOB = 'report'

export interface Place {
  readonly directory: string
  readonly schedules: SchedulesService
  readonly store: SqliteStore
  /** Lets the next minute begin, and waits until so many runs are there, durably. @returns what that cost */
  tick(runs: number): Promise<Cost>
  close(): Promise<void>
}

export interface Cost {
  readonly wallMs: number
  /** Of this process, all its threads. */
  readonly cpuMs: number
}

export interface PlaceOptions {
  /** Schedules that are not due for years. */
  readonly idle: number
  /** Schedules that fire every minute. */
  readonly everyMinute: number
}

export async function place({ idle, everyMinute }: PlaceOptions): Promise<Place> {
  const directory = temporaryFolder('bench')
  const clock = new FillingClock(Date.parse('2026-12-01T00:00:30Z'))
  const store = await openSqliteStore({ directory, clock, owner: { command: 'benchmark' } })
  const fired = new Count()
  const runs = createRunsService({
    store,
    clock,
    random: systemRandom,
    send: async (_queue, messages) => messages.map(() => true),
  })
  await runs.registerJobs([{ name: JOB, queue: 'default', attempts: 1 }], 'benchmark')
  const schedules = createSchedulesService({
    store,
    clock,
    random: systemRandom,
    runs,
    trigger: 'embedded',
    pollMs: POLL_MS,
    onEvent(event) {
      if (event.kind === 'fired') fired.one()
      else process.stderr.write(`${JSON.stringify(event)}\n`)
    },
  })
  const saved = (count: number, one: (n: number) => ScheduleInput): Promise<void> =>
    driven(clock, fill(schedules, count, one))
  await saved(idle, (n) => ({ name: `idle-${n}`, ...idleSchedule(n) }))
  await saved(everyMinute, (n) => ({
    name: `minute-${n}`,
    ...common,
    expression: 'cron(* * * * ? *)',
  }))
  clock.filling = false
  await schedules.start()
  await clock.advance(60_000)
  return {
    directory,
    schedules,
    store,
    async tick(wanted) {
      await clock.advance((119_000 - (clock.now() % 60_000)) % 60_000)
      const all = fired.more(wanted)
      const cpu = process.cpuUsage()
      const started = performance.now()
      const moved = clock.advance(1_000).then(() => driven(clock, all))
      await all
      const wallMs = performance.now() - started
      const { user, system } = process.cpuUsage(cpu)
      await moved
      return { wallMs, cpuMs: (user + system) / 1_000 }
    },
    async close() {
      await driven(clock, schedules.close())
      await driven(clock, runs.close())
      await store.close()
    },
  }
}

/** While filling, each look at the clock finds it a millisecond later, so that audit records of many puts have keys of their own. */
class FillingClock extends ManualClock {
  filling = true

  override now(): number {
    if (this.filling) this.jump(1)
    return super.now()
  }
}

/** Lets time pass until it is done. */
async function driven(clock: ManualClock, work: Promise<void>): Promise<void> {
  const state = { done: false }
  const end = (): void => void (state.done = true)
  work.then(end, end)
  while (!state.done) await clock.advance(1)
  return work
}

/** Counts, and tells when so many more have come. */
class Count {
  #missing = 0
  #reached: (() => void) | undefined

  one(): void {
    this.#missing -= 1
    if (this.#missing === 0) this.#reached?.()
  }

  more(wanted: number): Promise<void> {
    this.#missing = wanted
    return new Promise((resolve) => (this.#reached = resolve))
  }
}

const common = { job: JOB, overlap: 'allow', parameters: { region: 'north', limit: 100 } } as const

function idleSchedule(n: number): Omit<ScheduleInput, 'name'> {
  const expression = `cron(${n % 60} ${n % 24} ${1 + (n % 28)} ${1 + (n % 12)} ? ${2050 + (n % 40)})`
  return { ...common, expression, timeZone: 'Europe/Berlin', description: `Report of branch ${n}` }
}

async function fill(
  schedules: SchedulesService,
  count: number,
  one: (n: number) => ScheduleInput,
): Promise<void> {
  for (let from = 0; from < count; from += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - from) }, (_, i) => one(from + i))
    await Promise.all(some.map((schedule) => schedules.put(schedule, { by: 'benchmark' })))
  }
}
