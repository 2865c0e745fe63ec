import { Registry } from 'prom-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { memoryDatabase } from '../drivers/memory/index.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { createRunsService } from '../runs/service.ts'
import { configSchema } from './config/schema.ts'
import { createLogger } from './logger.ts'
import { openServerSchedules, triggerOf } from './schedules.ts'

const config = (store: string, messages: string, trigger: string) =>
  configSchema.parse({ store: { engine: store }, messages: { engine: messages }, schedules: { trigger } })

describe('who fires schedules', () => {
  it.each([
    ['sqlite', 'auto', 'embedded'],
    ['sqlite', 'sqlite', 'embedded'],
    ['sqlite', 'off', 'off'],
    ['sqlite', 'sqs', 'off'],
    ['dynamodb', 'sqs', 'embedded'],
    ['dynamodb', 'auto', 'off'],
    ['firestore', 'sqs', 'off'],
    ['firestore', 'auto', 'off'],
  ])('auto, %s with messages %s: %s', (store, messages, trigger) => {
    expect(triggerOf(config(store, messages, 'auto'))).toBe(trigger)
    expect(triggerOf(config(store, messages, 'off'))).toBe('off')
    if (trigger !== 'off') {
      expect(triggerOf(config(store, messages, 'eventbridge'))).toBe('eventbridge')
      return
    }
    for (const asked of ['embedded', 'eventbridge', 'eventbridge-scheduler']) {
      expect(() => triggerOf(config(store, messages, asked))).toThrow(
        `schedules.trigger: '${asked}' needs store.engine sqlite with messages.engine sqlite, or dynamodb with sqs; got ${store} with`,
      )
    }
  })
})

async function opened(trigger = 'auto') {
  const clock = new ManualClock()
  await clock.advance(Date.parse('2030-01-01T00:00:30Z') - clock.now())
  const store = memoryDatabase({ limits: { keys: 'decimal' } }).connect({ clock })
  const random = seededRandom(3)
  const registry = new Registry()
  const logged: Record<string, unknown>[] = []
  const write = (line: string): unknown => logged.push(JSON.parse(line) as Record<string, unknown>)
  const logger = createLogger({ level: 'info', format: 'json' }, false, { write })
  const runs = createRunsService({
    store,
    clock,
    random,
    send: async (_, all) => all.map(() => true),
    onEvent: (event) => server.onRun(event),
  })
  const server = openServerSchedules({
    config: config('sqlite', 'auto', trigger),
    store,
    shared: false,
    runs,
    clock,
    random,
    registry,
    logger,
  })
  await runs.registerJobs([{ name: 'mail', queue: 'default', attempts: 1 }], 'w')
  onTestFinished(async () => {
    await server.close()
    await runs.close()
  })
  return { ...server, clock, runs, logged, metrics: () => registry.metrics() }
}

const definition = { name: 'often', job: 'mail', expression: 'cron(* * * * ? *)' }

describe('a server with schedules', () => {
  it('fires them, counts that, and lets a held run go when the one before it has ended', async () => {
    const { schedules, runs, clock, metrics, start } = await opened()
    await start()
    await schedules.put({ ...definition, overlap: 'queue' }, { by: 'ann' })
    await clock.advance(90_000)
    const { runs: made } = await runs.list({ schedule: 'often' })
    expect(made.map(({ id, held }) => [id, held !== undefined])).toEqual([
      ['mail:often@2030-01-01T00:02:00Z', true],
      ['mail:often@2030-01-01T00:01:00Z', false],
    ])
    const [second, first] = made.map(({ id }) => id) as [string, string]
    expect(await metrics()).toContain('signalbox_schedules_fired_total{schedule="often"} 2')
    expect(await metrics()).toContain('signalbox_schedules_late_seconds_count 2')

    const claim = await runs.claim(first, { worker: 'w', leaseMs: 60_000 })
    if (!claim.claimed) throw new Error('it was not claimed')
    await runs.finish(first, claim.epoch, { kind: 'succeeded' })
    // In less than the time between two looks.
    for (let step = 0; step < 10; step++) await clock.advance(50)
    expect((await runs.get(second)).held).toBeUndefined()
  })

  it('tells and counts what it skipped and what was missed', async () => {
    const { schedules, clock, metrics, logged, start } = await opened()
    await schedules.put({ ...definition, missed: 'skip' }, { by: 'ann' })
    await clock.advance(600_000)
    await start()
    await clock.advance(120_000)
    const text = await metrics()
    expect(text).toMatch(/signalbox_schedules_missed_total\{schedule="often"\} (?:9|10)\n/)
    expect(text).toMatch(/signalbox_schedules_skipped_total\{schedule="often",why="overlap"\} \d/)
    const lines = logged.map(({ level, msg }) => `${String(level)} ${String(msg)}`)
    expect(lines).toContainEqual(expect.stringMatching(/^warn schedule: missed /))
    expect(lines).toContainEqual(expect.stringMatching(/^info schedule skipped: /))
  })

  it('that is not to fire says so once, and does not', async () => {
    const { schedules, runs, clock, logged, start } = await opened('off')
    await start()
    await schedules.put(definition, { by: 'ann' })
    await clock.advance(300_000)
    expect((await runs.list()).runs).toEqual([])
    expect(logged.map(({ msg }) => msg)).toEqual([
      'schedules: nobody fires them on this server (schedules.trigger is off)',
    ])
  })
})
