/** The routes, against the whole application and the service on a memory store. */
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { memoryDatabase } from '../drivers/memory/index.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import type { JobManifest } from '../runs/api.ts'
import { createRunsService } from '../runs/service.ts'
import { readAudit } from '../server/auth/audit-log.ts'
import { appWorld } from '../server/auth/testing/world.ts'
import { createSchedulesService } from './service.ts'

const mail: JobManifest = {
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
const report: JobManifest = { name: 'report', queue: 'default', attempts: 1 }

async function opened() {
  const clock = new ManualClock()
  await clock.advance(Date.parse('2030-01-01T00:00:30Z') - clock.now())
  const store = memoryDatabase({ limits: { keys: 'decimal' } }).connect({ clock })
  const random = seededRandom(5)
  const runs = createRunsService({ store, clock, random, send: async (_, all) => all.map(() => true) })
  const schedules = createSchedulesService({ store, clock, random, runs, trigger: 'embedded' })
  await runs.registerJobs([mail, report], 'w')
  const world = await appWorld({ clock, runs, schedules })
  onTestFinished(async () => {
    const closing = schedules.close().then(() => runs.close())
    await clock.advance(1_000) // for what is being sent
    await closing
    await world.close()
  })
  const operator = await world.token({ role: 'operator' })
  return { ...world, store, schedules, operator, ask: asker(world.app) }
}
type Opened = Awaited<ReturnType<typeof opened>>

interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
  readonly etag: unknown
}

function asker(app: Awaited<ReturnType<typeof appWorld>>['app']) {
  return async (
    secret: string,
    method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    url: string,
    payload?: object,
    headers: Record<string, string> = {},
  ): Promise<Answer> => {
    const answer = await app.inject({
      method,
      url: `/api/v1/${url}`,
      headers: { authorization: `Bearer ${secret}`, ...headers },
      ...(payload === undefined ? {} : { payload }),
    })
    return { status: answer.statusCode, body: answer.json(), etag: answer.headers['etag'] }
  }
}

const hourly = { job: 'mail', expression: 'cron(0 * * * ? *)', parameters: { to: 'a', key: 's3cret' } }

describe('schedules over HTTP', () => {
  it('are created, read, replaced, changed and deleted', async () => {
    const { ask, operator, store } = await opened()
    const made = await ask(operator, 'POST', 'schedules', { name: 'hourly', ...hourly })
    expect(made).toMatchObject({
      status: 201,
      body: {
        created: true,
        schedule: { name: 'hourly', nextAt: '2030-01-01T01:00:00.000Z', missed: 'once' },
      },
    })
    expect(
      (await ask(operator, 'POST', 'schedules', { name: 'hourly', ...hourly, overlap: 'allow' })).status,
    ).toBe(409)

    const shown = await ask(operator, 'GET', 'schedules/hourly')
    const rev = (shown.body as { rev: number }).rev
    expect(shown).toMatchObject({
      status: 200,
      etag: `"${rev}"`,
      body: { parameters: { to: 'a', key: '********' }, updatedBy: 'token-1' },
    })
    const put = (body: object, headers?: Record<string, string>) =>
      ask(operator, 'PUT', 'schedules/hourly', body, headers)
    expect((await put({ ...hourly, overlap: 'queue' }, { 'if-match': `"${rev + 7}"` })).status).toBe(409)
    expect((await put({ ...hourly, overlap: 'queue' }, { 'if-match': 'x' })).status).toBe(400)
    expect((await put({ ...hourly, overlap: 'queue' }, { 'if-none-match': '*' })).status).toBe(409)
    const replaced = await put({ ...hourly, overlap: 'queue' }, { 'if-match': `"${rev}"` })
    expect(replaced).toMatchObject({ status: 200, body: { created: false, schedule: { overlap: 'queue' } } })
    expect((await ask(operator, 'PUT', 'schedules/second', hourly)).status).toBe(201)

    const patched = await ask(operator, 'PATCH', 'schedules/hourly', { timeZone: 'Europe/Berlin' })
    expect(patched).toMatchObject({ status: 200, body: { timeZone: 'Europe/Berlin', overlap: 'queue' } })
    expect(patched.etag).toBe(`"${(patched.body as { rev: number }).rev}"`)
    const stale = await ask(
      operator,
      'PATCH',
      'schedules/hourly',
      { jitterMs: 5 },
      { 'if-match': `"${rev}"` },
    )
    expect(stale).toMatchObject({ status: 409, body: { error: { code: 'conflict' } } })

    expect(await ask(operator, 'DELETE', 'schedules/second')).toMatchObject({ status: 200, body: {} })
    expect((await ask(operator, 'DELETE', 'schedules/second')).status).toBe(404)
    expect((await ask(operator, 'GET', 'schedules/second')).status).toBe(404)
    const { entries } = await readAudit(store)
    expect(entries.map(({ action, target, actor }) => `${action} ${target} ${actor}`).toSorted()).toEqual([
      'schedules.create hourly token-1',
      'schedules.create second token-1',
      'schedules.delete second token-1',
      'schedules.update hourly token-1',
      'schedules.update hourly token-1',
    ])
  })

  it.each([
    [{ job: 'mail' }, 'expression: missing'],
    [{ ...hourly, expression: 'cron(0 * * * *)' }, 'has 5 fields instead of six'],
    [{ ...hourly, expression: '0 9 * * 1-5' }, 'in this form: cron(0 9 ? * 2-6 *)'],
    [{ ...hourly, timeZone: 'Europe/Bonn' }, "time zone 'Europe/Bonn'"],
    [{ ...hourly, overlap: 'never' }, 'overlap:'],
    [{ ...hourly, parameters: { key: 'x' } }, 'to:'],
    [{ ...hourly, parameters: [1] }, 'parameters:'],
    [{ ...hourly, parameters: { to: 'a', over: 1 } }, 'over'],
    [{ ...hourly, expression: 'at(2029-12-31T00:00:00)' }, '2029-12-31'],
    [{ ...hourly, more: 1 }, 'unknown more'],
    [{ ...hourly, jitterMs: -1 }, 'jitterMs: -1 must be at least 0'],
    [{ ...hourly, startAt: 'soon' }, 'startAt:'],
  ])('%j is refused in one line', async (body, message) => {
    const { ask, operator } = await opened()
    const { status, body: answer } = await ask(operator, 'PUT', 'schedules/x', body)
    const { error } = answer as { error: { code: string; message: string } }
    expect([status, error.code]).toEqual([400, 'invalid_argument'])
    expect(error.message).toContain(message)
    expect(error.message).not.toContain('\n')
    expect((await ask(operator, 'GET', 'schedules/x')).status).toBe(404)
  })

  it('take an unknown job only from who asks for it', async () => {
    const { ask, operator } = await opened()
    const body = { ...hourly, job: 'later' }
    expect((await ask(operator, 'PUT', 'schedules/x', body)).status).toBe(404)
    expect(await ask(operator, 'PUT', 'schedules/x?unknownJob=true', body)).toMatchObject({
      status: 201,
      body: { schedule: { problem: expect.stringContaining("'later'") as string } },
    })
    expect((await ask(operator, 'PUT', 'schedules/x?unknownJob=maybe', body)).status).toBe(400)
  })

  it('are listed by name, page by page, as the caller asks', async () => {
    const { ask, operator } = await opened()
    for (const [name, job] of [
      ['c', 'mail'],
      ['a', 'report'],
      ['b', 'mail'],
    ]) {
      const parameters = job === 'mail' ? { to: 'a' } : {}
      await ask(operator, 'PUT', `schedules/${name}`, { ...hourly, job, parameters, enabled: name !== 'c' })
    }
    const names = async (query: string): Promise<unknown> => {
      const { body } = await ask(operator, 'GET', `schedules?${query}`)
      return (body as { schedules: { name: string }[] }).schedules.map(({ name }) => name).join()
    }
    expect(await names('')).toBe('a,b,c')
    expect(await names('job=mail')).toBe('b,c')
    expect(await names('enabled=false')).toBe('c')
    expect(await names('text=REP')).toBe('a')
    const { body } = await ask(operator, 'GET', 'schedules?limit=2')
    const { next, total } = body as { next: string; total: number }
    expect([await names('limit=2'), total]).toEqual(['a,b', 3])
    expect(await names(`limit=2&after=${encodeURIComponent(next)}`)).toBe('c')
  })

  it('are paused with a reason, resumed, run now and backfilled', async () => {
    const { ask, operator, clock, store } = await opened()
    await ask(operator, 'PUT', 'schedules/hourly', hourly)
    const paused = await ask(operator, 'POST', 'schedules/hourly/pause', { reason: 'moving' })
    expect(paused.body).toMatchObject({ paused: { by: 'token-1', reason: 'moving' } })
    expect(paused.body).not.toHaveProperty('nextAt')
    const resumed = await ask(operator, 'POST', 'schedules/hourly/resume')
    expect(resumed.body).toMatchObject({ nextAt: '2030-01-01T01:00:00.000Z' })
    expect(resumed.body).not.toHaveProperty('paused')

    const run = { id: 'by-hand', parameters: { to: 'b' } }
    const ran = await ask(operator, 'POST', 'schedules/hourly/run', run)
    expect(ran.body).toMatchObject({ created: true, run: { id: 'mail:by-hand', schedule: 'hourly' } })
    expect((await ask(operator, 'POST', 'schedules/hourly/run', run)).body).toMatchObject({ created: false })
    expect((await ask(operator, 'GET', 'runs/mail:by-hand')).body).toMatchObject({
      input: { to: 'b', key: '********' },
    })

    await clock.advance(30_000)
    const range = { from: '2029-12-31T21:00:00Z', to: '2030-01-01T00:00:00Z' }
    const dry = await ask(operator, 'POST', 'schedules/hourly/backfill', { ...range, dryRun: true })
    expect(dry.body).toEqual({
      times: ['2029-12-31T21:00:00.000Z', '2029-12-31T22:00:00.000Z', '2029-12-31T23:00:00.000Z'],
      runs: [],
    })
    const filled = await ask(operator, 'POST', 'schedules/hourly/backfill', range)
    expect((filled.body as { runs: { created: boolean }[] }).runs.map(({ created }) => created)).toEqual([
      true,
      true,
      true,
    ])
    const few = await ask(operator, 'POST', 'schedules/hourly/backfill', { ...range, limit: 2 })
    expect(few).toMatchObject({ status: 400 })
    const { entries } = await readAudit(store)
    const told = new Set(entries.map(({ action, reason = '-' }) => `${action} ${reason}`))
    for (const one of ['pause moving', 'resume -', 'run -', 'backfill -'])
      expect(told).toContain(`schedules.${one}`)
  })

  it('stream as a list that follows what changes', async () => {
    const { ask, operator, app, clock } = await opened()
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as AddressInfo
    const headers = { accept: 'text/event-stream', authorization: `Bearer ${operator}` }
    const over = new AbortController()
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/schedules`, { headers, signal: over.signal })
    expect(answer.headers.get('content-type')).toContain('text/event-stream')
    let seen = ''
    const read = (async () => {
      for await (const part of answer.body ?? []) seen += Buffer.from(part).toString()
    })().catch(() => undefined)
    const until = async (text: string): Promise<void> => {
      while (!seen.includes(text)) {
        await clock.advance(100)
        await new Promise((done) => setImmediate(done))
      }
    }
    await until('event: schedules\ndata: {"schedules":[],"total":0}\n\n')
    await ask(operator, 'PUT', 'schedules/hourly', hourly)
    await until('"name":"hourly"')
    await ask(operator, 'POST', 'schedules/hourly/pause', {})
    await until('"paused":')
    over.abort()
    await read
  })

  it('say what an expression means', async () => {
    const { ask, operator } = await opened()
    const query = new URLSearchParams({
      expression: 'cron(0 9 ? * MON-FRI *)',
      timeZone: 'Europe/Berlin',
      count: '2',
    })
    expect((await ask(operator, 'GET', `schedules-preview?${query.toString()}`)).body).toEqual({
      says: 'at 09:00, Monday to Friday',
      next: ['2030-01-01T08:00:00.000Z', '2030-01-02T08:00:00.000Z'],
    })
    query.set('count', '101')
    expect((await ask(operator, 'GET', `schedules-preview?${query.toString()}`)).status).toBe(400)
    const wrong = await ask(operator, 'GET', 'schedules-preview?expression=cron(61+*+*+*+?+*)')
    expect(wrong).toMatchObject({ status: 400, body: { error: { details: { part: 'minutes' } } } })
  })

  it.each(['a b', 'a/b', 'ä', 'x'.repeat(65), '.', '..'])('refuse the name %j', async (name) => {
    const { ask, operator } = await opened()
    const { status } = await ask(operator, 'POST', 'schedules', { ...hourly, name })
    expect(status).toBe(400)
  })
})

describe('a token with scopes', () => {
  const asked = async (
    { ask, token }: Opened,
    scopes: readonly string[],
    ...call: [method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', url: string, payload?: object]
  ): Promise<number> => (await ask(await token({ role: 'operator', scopes: [...scopes] }), ...call)).status

  it('needs the job beside the schedule for whatever starts runs', async () => {
    const world = await opened()
    await world.ask(world.operator, 'PUT', 'schedules/mine', hourly)
    const toReport = { job: 'report', parameters: {} }
    const calls = [
      ['PUT', 'schedules/mine', hourly],
      ['PATCH', 'schedules/mine', { jitterMs: 1_000 }],
      ['POST', 'schedules/mine/resume', undefined],
      ['POST', 'schedules/mine/run', {}],
      ['POST', 'schedules/mine/backfill', { from: '2029-12-31T23:00:00Z', to: '2030-01-01T00:00:00Z' }],
    ] as const
    for (const [method, url, payload] of calls) {
      expect([url, await asked(world, ['schedules:mine'], method, url, payload)]).toEqual([url, 403])
      expect([url, await asked(world, ['schedules:mine', 'jobs:report'], method, url, payload)]).toEqual([
        url,
        403,
      ])
      expect([url, await asked(world, ['jobs:mail'], method, url, payload)]).toEqual([url, 403])
      expect([url, await asked(world, ['schedules:mine', 'jobs:mail'], method, url, payload)]).toEqual([
        url,
        200,
      ])
    }
    // A schedule of one's own cannot be turned to another job, nor that of another job to one's own and back.
    expect(await asked(world, ['schedules:mine', 'jobs:mail'], 'PATCH', 'schedules/mine', toReport)).toBe(403)
    expect(
      await asked(world, ['schedules:mine', 'jobs:mail'], 'PUT', 'schedules/mine', {
        ...hourly,
        ...toReport,
      }),
    ).toBe(403)
    expect(await asked(world, ['schedules:mine', 'jobs:report'], 'PATCH', 'schedules/mine', toReport)).toBe(
      403,
    )
    expect(await asked(world, ['schedules:mine'], 'POST', 'schedules/mine/pause', {})).toBe(200)
    expect(await asked(world, ['schedules:mine'], 'DELETE', 'schedules/mine')).toBe(200)
  })

  it('changes only what it was judged by, also when the job changes at that moment', async () => {
    const world = await opened()
    const { token, ask, operator, schedules } = world
    await ask(operator, 'PUT', 'schedules/mine', hourly)
    const before = await schedules.get('mine')
    await ask(operator, 'PUT', 'schedules/mine', { ...hourly, job: 'report', parameters: {} })
    vi.spyOn(schedules, 'get').mockResolvedValueOnce(before)
    const secret = await token({ role: 'operator', scopes: ['schedules:mine', 'jobs:mail'] })
    const match = { 'if-match': `"${before.rev + 1}"` }
    expect((await ask(secret, 'PATCH', 'schedules/mine', { jitterMs: 5 }, match)).status).toBe(409)
    expect(await schedules.get('mine')).toMatchObject({ job: 'report', jitterMs: 0 })
  })

  it('takes no time of a schedule that it does not name', async () => {
    const world = await opened()
    await world.ask(world.operator, 'PUT', 'schedules/mine', hourly)
    const run = (id: string) =>
      asked(world, ['schedules:mine', 'jobs:mail'], 'POST', 'schedules/mine/run', { id })
    expect(await run('other@2030-01-01T01:00:00Z')).toBe(403)
    expect(await run('mine@2029-12-31T01:00:00Z')).toBe(200)
    expect(await run('by-hand@home')).toBe(200)
  })

  it('creates, sees and touches only what it names', async () => {
    const world = await opened()
    const named = (name: string): object => ({ ...hourly, name })
    const mine = ['schedules:mine-*', 'jobs:mail'] as const
    expect(await asked(world, mine, 'POST', 'schedules', named('other'))).toBe(403)
    expect(await asked(world, mine, 'POST', 'schedules', named('mine-a'))).toBe(201)
    await world.ask(world.operator, 'PUT', 'schedules/other', hourly)
    expect(await asked(world, mine, 'GET', 'schedules/other')).toBe(403)
    const secret = await world.token({ role: 'viewer', scopes: ['schedules:mine-*'] })
    const { body } = await world.ask(secret, 'GET', 'schedules')
    expect(body).toMatchObject({ schedules: [{ name: 'mine-a' }], total: 1 })
    expect((await world.ask(secret, 'GET', 'schedules-preview?expression=rate(1+hour)')).status).toBe(200)
  })
})
