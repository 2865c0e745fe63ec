import { Registry } from 'prom-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import { smtpServer } from '../../test/support/smtp-server.ts'
import { webhookReceiver, type WebhookReceiver } from '../../test/support/webhook-receiver.ts'
import { memoryDatabase, type MemoryStore } from '../drivers/memory/index.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { eventKinds } from '../notifications/api.ts'
import { createRunsService, type RunsService } from '../runs/service.ts'
import type { Run } from '../runs/state.ts'
import type { RunState } from '../runs/vocabulary.ts'
import { notificationKinds } from '../schedules/vocabulary.ts'
import { configSchema } from './config/schema.ts'
import { createLogger } from './logger.ts'
import { noticeOf } from './notifications/notice-of.ts'
import { openServerNotifications, type ServerNotifications } from './notifications.ts'

const SECRET = `whsec_${Buffer.alloc(24, 3).toString('base64')}`

const run = (state: RunState, more: Partial<Run> = {}): Run => ({
  id: 'report:nightly@2026-01-01T00:00:00Z',
  job: 'report',
  queue: 'default',
  state,
  source: 'schedule',
  createdAt: 1_000,
  rev: 3,
  epoch: 2,
  attempt: 2,
  attempts: 3,
  onLost: 'fail',
  schedule: 'nightly',
  scheduledAt: 500,
  retentionMs: 1_000,
  wakes: 1,
  wokenAt: 1_000,
  endedAt: 9_000,
  timeline: [],
  ...more,
})

it('schedules may name the kinds of events that there are', () => {
  expect(notificationKinds).toEqual(eventKinds)
})

describe('a change of a run', () => {
  it.each(['failed', 'timed_out', 'lost'] as const)('to %s is told, with its error', (state) => {
    const after = run(state, { error: { message: 'x'.repeat(2_000), stack: 'secret' } })
    expect(noticeOf(run('running'), after)).toEqual({
      id: expect.stringMatching(/^evt_[0-9a-f]{32}$/) as string,
      kind: state,
      at: 9_000,
      job: 'report',
      run: after.id,
      schedule: 'nightly',
      scheduledAt: 500,
      attempt: 2,
      error: 'x'.repeat(1_000),
    })
  })

  it('to cancelled is told with who and why; to succeeded without an old error', () => {
    const cancel = { at: 8_000, by: 'ann', reason: 'wrong day' }
    expect(
      noticeOf(run('queued'), run('cancelled', { cancel, reason: 'wrong day', attempt: 0 })),
    ).toMatchObject({
      kind: 'cancelled',
      by: 'ann',
      reason: 'wrong day',
    })
    const good = noticeOf(run('running'), run('succeeded', { error: { message: 'before' } }))
    expect(good?.kind).toBe('succeeded')
    expect(good).not.toHaveProperty('error')
  })

  it('that is no end, or no change of state, is not', () => {
    for (const state of ['queued', 'running', 'skipped'] as const)
      expect(noticeOf(undefined, run(state))).toBeUndefined()
    expect(noticeOf(run('failed'), run('failed', { restartedAs: 'report:2' }))).toBeUndefined()
  })

  it('has one id, and another for another run, state, or run of the same name', () => {
    const ids = [
      noticeOf(run('running'), run('failed')),
      noticeOf(run('queued'), run('failed', { endedAt: 9_999 })),
      noticeOf(run('running'), run('lost')),
      noticeOf(run('running'), run('failed', { id: 'report:2' })),
      noticeOf(run('running'), run('failed', { createdAt: 2_000 })),
    ].map((notice) => notice?.id)
    expect(ids[0]).toBe(ids[1])
    expect(new Set(ids).size).toBe(4)
  })
})

interface Served {
  readonly clock: ManualClock
  readonly store: MemoryStore
  readonly runs: RunsService
  readonly registry: Registry
  readonly notices: ServerNotifications
  readonly receiver: WebhookReceiver
  /** Lets time pass until it holds. */
  readonly until: (holds: () => boolean) => Promise<void>
}

async function served(): Promise<Served> {
  const clock = new ManualClock()
  const store = memoryDatabase({ limits: { keys: 'decimal' } }).connect({ clock })
  const receiver = await webhookReceiver()
  const mail = await smtpServer()
  const registry = new Registry()
  const config = configSchema.parse({
    server: { publicUrl: 'https://box.example.org' },
    notifications: {
      channels: {
        hook: { type: 'webhook', url: `${receiver.url}/s3cret`, secret: SECRET },
        mail: { type: 'email', to: ['ops@example.org'], from: 'box@example.org' },
      },
      rules: [{ channels: ['hook', 'mail'] }],
      smtp: { host: '127.0.0.1', port: mail.port, tls: 'off' },
    },
  })
  const logger = createLogger({ level: 'silent', format: 'json' }, false, { write: () => true })
  const random = seededRandom(3)
  const notices = openServerNotifications({ config, store, shared: false, clock, random, registry, logger })
  const runs = createRunsService({ store, clock, random: seededRandom(4), beside: notices.besideRun })
  await notices.notifications.start()
  onTestFinished(async () => {
    await runs.close()
    const closed = notices.notifications.close()
    await clock.advance(5_000)
    await closed
    await receiver.close()
    await mail.close()
  })
  const until = async (holds: () => boolean): Promise<void> => {
    const step = async (): Promise<boolean> => {
      await clock.advance(100)
      return holds()
    }
    await expect.poll(step, { timeout: 20_000, interval: 10 }).toBe(true)
  }
  return { clock, store, runs, registry, notices, receiver, until }
}

async function fails(runs: RunsService, id: string): Promise<void> {
  await runs.create({
    id,
    job: 'report',
    queue: 'default',
    input: {},
    attempts: 1,
    onLost: 'fail',
    source: 'schedule',
    schedule: 'nightly',
  })
  const claim = await runs.claim(id, { worker: 'w1', leaseMs: 30_000 })
  const epoch = claim.claimed ? claim.epoch : 0
  await runs.finish(id, epoch, { kind: 'failed', error: { message: 'disk full' } })
}

describe('a server', () => {
  it('tells of a run that failed, once, through each channel, and counts that', async () => {
    const { runs, receiver, registry, notices, until } = await served()
    await fails(runs, 'report:1')
    await until(() => receiver.received.length > 0)
    const [first] = receiver.received
    expect(JSON.parse(first?.body ?? '{}')).toMatchObject({
      type: 'run.failed',
      data: { run: 'report:1', error: 'disk full' },
    })
    expect(first?.headers['webhook-signature']).toMatch(/^v1,/)
    const metrics = async (): Promise<string> => registry.metrics()
    let text = ''
    await until(() => {
      void metrics().then((now) => (text = now))
      return text.includes('signalbox_notifications_sent_total{channel="mail"} 1')
    })
    expect(text).toContain('signalbox_notifications_sent_total{channel="hook"} 1')
    expect((await notices.notifications.list()).deliveries).toEqual([])
    expect(receiver.received).toHaveLength(1)
  })

  it('tells of times that nobody fired, as the schedule itself wishes', async () => {
    const { store, notices, receiver, until } = await served()
    notices.askSchedules(async (schedule) =>
      schedule === 'quiet' ? { channels: [] } : { channels: ['hook'] },
    )
    for (const schedule of ['quiet', 'nightly']) {
      const missed = {
        schedule,
        job: 'report',
        at: 5_000,
        scheduledAt: 4_000,
        count: 36,
        reason: 'nobody ran',
        run: 'report:9',
      }
      await store.commit([...notices.besideMissed(missed)])
    }
    await until(() => receiver.received.length > 0)
    expect(JSON.parse(receiver.received[0]?.body ?? '{}')).toMatchObject({
      type: 'schedule.missed',
      data: {
        schedule: 'nightly',
        text: 'Schedule nightly missed 36 times',
        count: 36,
        reason: 'nobody ran',
      },
    })
    expect(receiver.received).toHaveLength(1)
  })

  it('shows channels without their secrets', async () => {
    const { notices, receiver } = await served()
    const shown = JSON.stringify(await notices.notifications.channels())
    expect(shown).toContain(`${receiver.url}/…`)
    expect(shown).not.toMatch(/s3cret|whsec/)
  })

  it('without channels writes nothing beside a run', () => {
    const clock = new ManualClock()
    const store = memoryDatabase().connect({ clock })
    const logger = createLogger({ level: 'silent', format: 'json' }, false, { write: () => true })
    const config = configSchema.parse({})
    const facts = { store, shared: false, clock, random: seededRandom(1), registry: new Registry(), logger }
    const { besideRun } = openServerNotifications({ config, ...facts })
    expect(besideRun(run('running'), run('failed'))).toEqual([])
  })
})
