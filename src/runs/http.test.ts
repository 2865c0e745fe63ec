import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { memoryDatabase } from '../drivers/memory/index.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { readAudit } from '../server/auth/audit-log.ts'
import { appWorld } from '../server/auth/testing/world.ts'
import type { JobManifest, LoggedLine, RunList, RunView } from './api.ts'
import { createRunsService } from './service.ts'
import { aRun } from './testing/world.ts'

const manifest: JobManifest = {
  name: 'mail',
  queue: 'default',
  attempts: 3,
  onLost: 'retry',
  secrets: ['key'],
  input: {
    type: 'object',
    properties: { to: { type: 'string' }, key: { type: 'string' } },
    required: ['to'],
    additionalProperties: false,
  },
}

async function opened() {
  const clock = new ManualClock()
  const store = memoryDatabase({ limits: { keys: 'decimal' } }).connect({ clock })
  const runs = createRunsService({
    store,
    clock,
    random: seededRandom(5),
    send: async (_, all) => all.map(() => true),
  })
  const made = await appWorld({ clock, runs })
  onTestFinished(() => made.close())
  const ask = async (secret: string, method: 'GET' | 'POST', url: string, payload?: object) => {
    const headers = { authorization: `Bearer ${secret}` }
    const answer = await made.app.inject({
      method,
      url,
      headers,
      ...(payload === undefined ? {} : { payload }),
    })
    return { status: answer.statusCode, body: answer.json<Record<string, never>>() as unknown }
  }
  return { ...made, store, runs, ask, operator: await made.token({ role: 'operator' }) }
}

const at = (id: string): string => `/api/v1/runs/${encodeURIComponent(id)}`

describe('runs over HTTP', () => {
  it('plays a life as a worker at a distance does', async () => {
    const { ask, operator } = await opened()
    const made = await ask(operator, 'POST', '/api/v1/runs', { runs: [aRun({ input: { to: 'a' } })] })
    const { runs } = made.body as { runs: { run: { id: string }; created: boolean }[] }
    const id = runs[0]?.run.id as string
    expect(runs[0]?.created).toBe(true)
    expect(
      (await ask(operator, 'POST', `${at(id)}/claim`, { worker: 'w', leaseMs: 30_000 })).body,
    ).toMatchObject({
      claimed: true,
      epoch: 1,
      input: { to: 'a' },
    })
    const lines = [{ at: 5, level: 'info', text: 'hello' }]
    expect((await ask(operator, 'POST', `${at(id)}/log`, { epoch: 1, lines, from: 0 })).status).toBe(200)
    expect((await ask(operator, 'POST', `${at(id)}/beat`, { epoch: 1, leaseMs: 30_000 })).body).toEqual({
      held: true,
    })
    const outcome = { kind: 'succeeded', result: 7 }
    expect((await ask(operator, 'POST', `${at(id)}/finish`, { epoch: 1, outcome })).body).toMatchObject({
      accepted: true,
      run: { state: 'succeeded' },
    })
    expect((await ask(operator, 'GET', at(id))).body).toMatchObject({
      state: 'succeeded',
      result: 7,
      logLines: 1,
    })
    expect((await ask(operator, 'GET', `${at(id)}/log?after=0&limit=5`)).body).toEqual({
      lines: [{ n: 1, attempt: 1, at: 5, level: 'info', text: 'hello' }],
    })
    const listed = await ask(operator, 'GET', '/api/v1/runs?state=succeeded,failed&job=mail&text=mail')
    expect((listed.body as RunList).runs.map((run) => run.id)).toEqual([id])
  })

  it('runs a job by hand, checks its input, masks its secrets, and records who did it', async () => {
    const { ask, operator, store } = await opened()
    await ask(operator, 'POST', '/api/v1/jobs', { worker: 'w', jobs: [manifest] })
    const wrong = await ask(operator, 'POST', '/api/v1/jobs/mail/runs', { input: { key: 'x' } })
    expect(wrong).toMatchObject({ status: 400, body: { error: { code: 'invalid_argument' } } })
    expect((await ask(operator, 'POST', '/api/v1/jobs/nothing/runs', {})).status).toBe(404)
    const input = { to: 'a', key: 's3cret' }
    const made = await ask(operator, 'POST', '/api/v1/jobs/mail/runs', { input, id: 'o-1' })
    expect(made.body).toMatchObject({ created: true, run: { id: 'mail:o-1', source: 'run_now' } })
    expect((await ask(operator, 'POST', '/api/v1/jobs/mail/runs', { input, id: 'o-1' })).body).toMatchObject({
      created: false,
    })
    for (const url of [at('mail:o-1'), '/api/v1/runs', '/api/v1/jobs/mail', '/api/v1/jobs']) {
      const { status, body } = await ask(operator, 'GET', url)
      expect([url, status, JSON.stringify(body).includes('s3cret')]).toEqual([url, 200, false])
    }
    const claim = await ask(operator, 'POST', `${at('mail:o-1')}/claim`, { worker: 'w', leaseMs: 30_000 })
    expect(claim.body).toMatchObject({ input })
    await ask(operator, 'POST', `${at('mail:o-1')}/cancel`, { reason: 'enough' })
    const outcome = { kind: 'cancelled' }
    await ask(operator, 'POST', `${at('mail:o-1')}/finish`, { epoch: 1, outcome })
    const restarted = await ask(operator, 'POST', `${at('mail:o-1')}/restart`)
    expect(restarted.body).toMatchObject({ state: 'queued', restartOf: 'mail:o-1' })
    const { entries } = await readAudit(store)
    const told = entries.map(({ action, target, actor, reason = '-' }) =>
      [action, target, actor, reason].join(' '),
    )
    expect(told.toSorted()).toEqual([
      'jobs.cancel mail:o-1 token-1 enough',
      'jobs.restart mail:o-1 token-1 -',
      'jobs.run mail:o-1 token-1 -',
    ])
  })

  it('lets a token with scopes see and touch its own jobs alone', async () => {
    const { ask, token, runs } = await opened()
    const { run: mail } = await runs.create(aRun())
    const { run: bill } = await runs.create(aRun({ job: 'bill' }))
    await runs.registerJobs([manifest, { ...manifest, name: 'bill' }], 'w')
    const secret = await token({ role: 'operator', scopes: ['jobs:mail'] })
    expect((await ask(secret, 'GET', at(mail.id))).status).toBe(200)
    for (const [method, url, payload] of [
      ['GET', at(bill.id)],
      ['GET', `${at(bill.id)}/log`],
      ['POST', `${at(bill.id)}/cancel`, {}],
      ['POST', `${at(bill.id)}/claim`, { worker: 'w', leaseMs: 30_000 }],
      ['GET', '/api/v1/jobs/bill'],
      ['POST', '/api/v1/jobs/bill/runs', {}],
      ['POST', '/api/v1/runs', { runs: [aRun(), aRun({ job: 'bill' })] }],
      ['POST', '/api/v1/jobs', { worker: 'w', jobs: [{ ...manifest, name: 'bill' }] }],
    ] as const) {
      expect([url, (await ask(secret, method, url, payload)).status]).toEqual([url, 403])
    }
    expect(((await ask(secret, 'GET', '/api/v1/runs')).body as RunList).runs.map(({ id }) => id)).toEqual([
      mail.id,
    ])
    expect((await ask(secret, 'GET', '/api/v1/jobs')).body).toMatchObject({ jobs: [{ name: 'mail' }] })
    const viewer = await token({ role: 'viewer' })
    expect((await ask(viewer, 'POST', `${at(mail.id)}/cancel`, {})).status).toBe(403)
    expect((await ask(viewer, 'GET', at(bill.id))).status).toBe(200)
  })

  it('lets a token put wake-ups only into message queues of its scopes', async () => {
    const { ask, token } = await opened()
    const { queue } = aRun()
    const body = { runs: [aRun()] }
    const registration = { worker: 'w', jobs: [manifest] }
    const half = await token({ role: 'operator', scopes: ['jobs:mail', 'messages:another'] })
    for (const [url, payload] of [
      ['/api/v1/runs', body],
      ['/api/v1/jobs', registration],
    ] as const) {
      expect([url, (await ask(half, 'POST', url, payload)).status]).toEqual([url, 403])
    }
    const whole = await token({
      role: 'operator',
      scopes: ['jobs:mail', `messages:${queue}`, `messages:${manifest.queue}`],
    })
    expect((await ask(whole, 'POST', '/api/v1/runs', body)).status).toBe(200)
    expect((await ask(whole, 'POST', '/api/v1/jobs', registration)).status).toBe(200)
  })

  it('lets a token make runs of a schedule only with that in its scopes', async () => {
    const { ask, token, runs } = await opened()
    await runs.registerJobs([manifest], 'w')
    const scopes = ['jobs:mail', `messages:${aRun().queue}`, `messages:${manifest.queue}`]
    const secret = await token({ role: 'operator', scopes })
    const owner = await token({ role: 'operator', scopes: [...scopes, 'schedules:nightly'] })
    const own = 'nightly@2026-11-21T21:00:00Z'
    for (const [url, payload] of [
      ['/api/v1/runs', { runs: [aRun(), aRun({ schedule: 'nightly' })] }],
      ['/api/v1/runs', { runs: [aRun({ id: `mail:${own}` })] }],
      ['/api/v1/runs', { runs: [aRun({ id: `mail:${own}:backfill` })] }],
      ['/api/v1/jobs/mail/runs', { id: own, input: { to: 'a' } }],
    ] as const) {
      expect([payload, (await ask(secret, 'POST', url, payload)).status]).toEqual([payload, 403])
      expect([payload, (await ask(owner, 'POST', url, payload)).status]).toEqual([payload, 200])
    }
    const mine = { id: 'o-1@home', input: { to: 'a' } }
    expect((await ask(secret, 'POST', '/api/v1/jobs/mail/runs', mine)).status).toBe(200)
  })

  it('shows, holds and cancels a run of a schedule’s time, whatever its id has in it', async () => {
    const { ask, operator, runs } = await opened()
    const id = 'mail:nightly.v2@2026-11-21T21:00:00Z:backfill'
    const run = aRun({ id, schedule: 'nightly.v2', source: 'backfill', hold: 'mail:1 has not ended' })
    const refused = await ask(operator, 'POST', '/api/v1/runs', { runs: [run] })
    const message = "runs.0.hold: 'mail:1 has not ended' must be left away: only schedules hold runs"
    expect(refused).toMatchObject({ status: 400, body: { error: { message } } })
    await runs.create(run)
    expect((await ask(operator, 'GET', at(id))).body).toMatchObject({ id, held: 'mail:1 has not ended' })
    const listed = await ask(operator, 'GET', '/api/v1/runs?schedule=nightly.v2')
    expect(listed.body).toMatchObject({ runs: [{ id, source: 'backfill', held: 'mail:1 has not ended' }] })
    const claim = { worker: 'w', leaseMs: 30_000 }
    expect((await ask(operator, 'POST', `${at(id)}/claim`, claim)).body).toMatchObject({ claimed: false })
    const ended = await ask(operator, 'POST', `${at(id)}/cancel`, {})
    expect(ended.body).toMatchObject({ id, state: 'cancelled' })
  })

  it('says what is wrong', async () => {
    const { ask, operator } = await opened()
    for (const [url, status] of [
      [at('mail:nothing'), 404],
      [at('nothing'), 400],
      ['/api/v1/runs?state=sleeping', 400],
      [`${at('mail:nothing')}/events`, 400],
      ['/api/v1/jobs/mail', 404],
    ] as const) {
      expect([url, (await ask(operator, 'GET', url)).status]).toEqual([url, status])
    }
    const big = { runs: [aRun({ input: 'x'.repeat(300_000) })] }
    expect((await ask(operator, 'POST', '/api/v1/runs', big)).status).toBe(413)
  })
})

interface Heard {
  readonly id: string
  readonly event: string
  readonly data: unknown
}

/** Reads events until there are enough, or the stream ends. */
async function events(
  url: string,
  secret: string,
  enough: (all: readonly Heard[]) => boolean,
  after?: string,
): Promise<Heard[]> {
  const hangUp = new AbortController()
  const answer = await fetch(url, {
    signal: hangUp.signal,
    headers: {
      accept: 'text/event-stream',
      authorization: `Bearer ${secret}`,
      ...(after === undefined ? {} : { 'last-event-id': after }),
    },
  })
  if (answer.status === 204) return []
  expect(answer.headers.get('content-type')).toContain('text/event-stream')
  const all: Heard[] = []
  let rest = ''
  const decoder = new TextDecoder()
  try {
    for await (const part of answer.body as ReadableStream<Uint8Array>) {
      rest += decoder.decode(part, { stream: true })
      const whole = rest.split('\n\n')
      rest = whole.pop() ?? ''
      for (const text of whole) {
        const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1] ?? ''
        if (field('event') === '') continue
        all.push({ id: field('id'), event: field('event'), data: JSON.parse(field('data')) })
        if (enough(all)) return all
      }
    }
  } finally {
    hangUp.abort()
  }
  return all
}

describe('the stream of a run', () => {
  it('is resumed without a lost or doubled line, and ends with the run', async () => {
    const { app, runs, operator, clock } = await opened()
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { run } = await runs.create(aRun())
    const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}${at(run.id)}/events`
    await runs.claim(run.id, { worker: 'w', leaseMs: 30_000 })
    let written = 0
    const write = async (count: number): Promise<void> => {
      const lines = Array.from({ length: count }, () => ({
        at: 0,
        level: 'info' as const,
        text: String(++written),
      }))
      await runs.log(run.id, 1, lines)
    }
    const ticking = { on: true }
    const ticks = (async () => {
      while (ticking.on) await clock.advance(50)
    })()
    try {
      await write(7)
      const heard: Heard[] = []
      const logged = (all: readonly Heard[]): number => all.filter(({ event }) => event === 'log').length
      for (const many of [3, 5, 4]) {
        heard.push(...(await events(url, operator, (all) => logged(all) >= many, heard.at(-1)?.id)))
        await write(3)
      }
      const rest = events(url, operator, () => false, heard.at(-1)?.id)
      await write(2)
      await runs.finish(run.id, 1, { kind: 'succeeded' })
      heard.push(...(await rest))
      const lines = heard.filter(({ event }) => event === 'log').map(({ data }) => (data as LoggedLine).n)
      expect(lines).toEqual(Array.from({ length: written }, (_, n) => n + 1))
      expect(heard.at(-1)?.event).toBe('end')
      expect(
        heard
          .filter(({ event }) => event === 'run')
          .map(({ data }) => (data as RunView).state)
          .at(-1),
      ).toBe('succeeded')
      expect(await events(url, operator, () => false, heard.at(-1)?.id)).toEqual([])
    } finally {
      ticking.on = false
      await ticks
    }
  })

  it('of the list shows a run when it comes', async () => {
    const { app, runs, operator } = await opened()
    await app.listen({ port: 0, host: '127.0.0.1' })
    const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}/api/v1/runs?state=queued`
    const heard = await events(url, operator, (all) => {
      if (all.length === 1) void runs.create(aRun())
      return true
    })
    expect(heard).toMatchObject([{ event: 'runs', data: { runs: [] } }])
  })
})
