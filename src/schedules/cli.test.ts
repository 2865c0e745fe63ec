/** The commands, against the whole application over a socket. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CommanderError, type Command } from 'commander'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { createClient, type Client } from '../client/client.ts'
import { printError } from '../cli/output.ts'
import type { SchedulesContext } from '../cli/schedules-context.ts'
import { memoryDatabase } from '../drivers/memory/index.ts'
import { systemClock } from '../kernel/clock.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { createRunsService } from '../runs/service.ts'
import { appWorld } from '../server/auth/testing/world.ts'
import { scheduleCommands } from './cli.ts'
import { createSchedulesService } from './service.ts'

let clock: ManualClock
let client: Client
let cwd: string
let out: string
let err: string

beforeEach(async () => {
  cwd = mkdtempSync(join(tmpdir(), 'signalbox-schedule-'))
  clock = new ManualClock()
  await clock.advance(Date.parse('2030-01-01T00:00:30Z') - clock.now())
  const store = memoryDatabase({ limits: { keys: 'decimal' } }).connect({ clock })
  const random = seededRandom(5)
  const runs = createRunsService({ store, clock, random })
  const schedules = createSchedulesService({ store, clock, random, runs, trigger: 'embedded' })
  const text = { type: 'string' }
  const input = { type: 'object', properties: { to: text, key: text }, required: ['to'] }
  const mail = { name: 'mail', queue: 'default', attempts: 3, secrets: ['key'], input }
  await runs.registerJobs([mail, { name: 'report', queue: 'default', attempts: 1 }], 'w')
  const served = await appWorld({ clock, runs, schedules })
  await served.app.listen({ port: 0, host: '127.0.0.1' })
  client = createClient({
    url: `http://127.0.0.1:${(served.app.server.address() as AddressInfo).port}`,
    token: await served.token({ role: 'operator' }),
    clock: systemClock,
    random: seededRandom(6),
  })
  onTestFinished(async () => {
    rmSync(cwd, { recursive: true, force: true })
    await client.close()
    await schedules.close()
    await runs.close()
    await served.close()
  })
})

/** Runs one command line as the program does. @returns the exit code */
async function schedule(...argv: string[]): Promise<number> {
  out = ''
  err = ''
  const context: SchedulesContext = {
    connect: async () => ({ ...client, close: async () => undefined }),
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (err += text) },
    env: {},
    cwd,
    clock,
    random: seededRandom(1),
    setExitCode: () => undefined,
  }
  const command = scheduleCommands(context)
  const quiet = (one: Command): void => {
    one.exitOverride().configureOutput({ writeOut: (text) => (out += text), writeErr: () => undefined })
    one.commands.forEach(quiet)
  }
  quiet(command)
  try {
    await command.parseAsync(argv, { from: 'user' })
    return 0
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 64
    return printError(error, { stderr: context.stderr }, { json: argv.includes('--json') })
  }
}

const create = (name: string, ...more: string[]): Promise<number> =>
  schedule('create', name, '--job', 'mail', '--cron', '0 * * * ? *', '--param', 'to=ann', ...more)

describe('signalbox schedule', () => {
  it('creates, lists, shows, changes and deletes', async () => {
    expect(await schedule('list')).toBe(0)
    expect(out).toContain('No schedules')
    expect(
      await create('hourly', '--time-zone', 'Europe/Berlin', '--description', 'Mails\u001B[31m ann'),
    ).toBe(0)
    expect(out).toMatch(/^hourly\n {2}about +Mails\?\[31m ann\n/)
    expect(out).toContain('2030-01-01T01:00:00Z')
    expect(await create('hourly', '--overlap', 'queue')).toBe(65)
    expect(err).toMatch(/^signalbox: [^\n]*hourly[^\n]*\n$/)

    await schedule('list')
    const [head, row] = out.split('\n')
    expect(head).toMatch(/^SCHEDULE +JOB +WHEN +ZONE +NEXT +LAST$/)
    expect(row).toMatch(/^hourly +mail +\S.* +Europe\/Berlin +in 59m 30s +-$/)
    await schedule('list', '--job', 'report')
    expect(out).toContain('No schedules')

    expect(await schedule('update', 'hourly', '--overlap', 'allow', '--timeout', '5m', '--json')).toBe(0)
    expect(JSON.parse(out)).toMatchObject({ overlap: 'allow', timeoutMs: 300_000, parameters: { to: 'ann' } })
    await schedule('update', 'hourly', '--timeout', 'default', '--description', '', '--json')
    expect(JSON.parse(out)).not.toHaveProperty('timeoutMs')
    expect(JSON.parse(out)).not.toHaveProperty('description')
    expect(await schedule('update', 'nothing', '--overlap', 'allow')).toBe(66)

    await create('second')
    await schedule('list', '--limit', '1')
    expect(out).toContain('1 more')
    expect(await schedule('delete', 'hourly', 'second')).toBe(0)
    expect(out).toBe('hourly: deleted\nsecond: deleted\n')
    expect(await schedule('show', 'hourly')).toBe(66)
  })

  it('pauses, resumes, runs now and backfills', async () => {
    await create('hourly')
    await schedule('pause', 'hourly', '--reason', 'moving')
    expect(out).toBe('hourly: paused\n')
    await schedule('show', 'hourly')
    expect(out).toMatch(/state +paused 0ms ago by token-1: moving\n/)
    await schedule('next', 'hourly', '--count', '1')
    expect(out).toMatch(/^It is paused\.\n/)
    await schedule('resume', 'hourly')
    expect(out).toBe('hourly: next 2030-01-01T01:00:00Z\n')

    await schedule('run', 'hourly', '--param', 'to=bob', '--id', 'x')
    expect(out).toBe('mail:x\n')
    await schedule('run', 'hourly', '--param', 'to=bob', '--id', 'x')
    expect(out).toBe('mail:x (there already, queued)\n')
    expect((await client.runs.get('mail:x')).input).toEqual({ to: 'bob' })
    expect(await schedule('run', 'hourly', '--param', 'to=5')).toBe(64)
    expect(err).toContain('to')

    await schedule('backfill', 'hourly', '--from', '2029-12-31T22:00Z', '--dry-run')
    expect(out).toBe('2029-12-31T22:00:00Z\n2029-12-31T23:00:00Z\n2030-01-01T00:00:00Z\n')
    await schedule('backfill', 'hourly', '--from', '150m')
    expect(out.split('\n')[0]).toBe('mail:hourly@2029-12-31T22:00:00Z')
    await schedule('backfill', 'hourly', '--from', '150m')
    expect(out.split('\n')[0]).toBe('mail:hourly@2029-12-31T22:00:00Z (there already, queued)')
    expect(await schedule('backfill', 'hourly', '--from', '1h', '--to', '2h')).toBe(64)
  })

  it('says what an expression means, without a server', async () => {
    await schedule(
      'next',
      'cron(30 2 * * ? *)',
      '--time-zone',
      'America/New_York',
      '--from',
      '2030-03-09',
      '--count',
      '2',
    )
    expect(out).toContain('Sat 2030-03-09 02:30:00 -05:00  2030-03-09T07:30:00Z')
    expect(out).toContain('Mon 2030-03-11 02:30:00 -04:00  2030-03-11T06:30:00Z')
    await schedule('next', '--rate', '5 minutes', '--json', '--count', '1')
    expect(JSON.parse(out)).toMatchObject({ says: 'every 5 minutes', next: [{ at: '2030-01-01T00:05:30Z' }] })
    await schedule('next', '--at', '2020-01-01T00:00:00')
    expect(out).toContain('does not fire')
    expect(await schedule('next', '--cron', '0 9 * * 1-5')).toBe(64)
    expect(err).toContain('cron(0 9 ? * 2-6 *)')
    expect(await schedule('next')).toBe(64)
  })

  it('refuses what cannot be, before it asks anybody', async () => {
    for (const argv of [
      ['show', 'a b'],
      ['create', 'x', '--rate', '1 hour'],
      ['create', 'x', '--job', 'mail'],
      ['update', 'x'],
      ['pause', 'x', '--reason', ' '],
      ['run', 'x', '--id', 'a b'],
      ['backfill', 'x'],
      ['backfill', 'x', '--from', 'soon'],
      ['backfill', 'x', '--from', '1h', '--overlap', 'never'],
      ['list', '--enabled', '--disabled'],
      ['apply', 'nothing.yaml'],
    ]) {
      expect([argv, await schedule(...argv)]).toEqual([argv, 64])
      expect(err.split('\n').length).toBeLessThanOrEqual(2)
    }
  })
})

it('warns of a parameter that the job does not have', async () => {
  expect(await create('a', '--param', 'too=ann')).toBe(0)
  expect(err).toBe("signalbox: warning: job 'mail' does not have the parameter 'too'; it has to, key\n")
  await schedule('update', 'a', '--param', 'to=bob')
  expect(err).toBe('')
  await schedule('run', 'a', '--param', 'x=1', '--param', 'y=2')
  expect(err).toContain("does not have the parameter 'x', 'y'; it has to, key")
  await create('b', '--param', 'too=ann', '--json')
  expect(err).toBe('')
})

describe('signalbox schedule apply', () => {
  const write = (text: string): void => writeFileSync(join(cwd, 's.yaml'), text)
  const FILE = `schedules:
  - name: a
    job: mail
    expression: rate(1 hour)
    parameters: { to: ann, key: s3cret }
    missedWindow: 90m
  - { name: b, job: report, expression: cron(0 9 ? * MON-FRI *), timeZone: Europe/Berlin, overlap: queue }
`

  it('makes schedules what the file says, and writes nothing when they are', async () => {
    write(FILE)
    expect(await schedule('apply', 's.yaml', '--dry-run')).toBe(0)
    expect(out).toBe('a: would be created\nb: would be created\n')
    await schedule('apply', 's.yaml')
    expect(out).toBe('a: created\nb: created\n')
    await create('c')
    write(FILE.replace('90m', '2h').replaceAll('s3cret', '"********"'))
    await schedule('apply', 's.yaml')
    expect(out).toBe('a: updated\nb: unchanged\n')
    const { rev } = await client.schedules.get('a')
    await schedule('apply', 's.yaml', '--prune', '--json')
    expect(JSON.parse(out)).toEqual({
      dryRun: false,
      schedules: [
        { name: 'a', change: 'unchanged' },
        { name: 'b', change: 'unchanged' },
        { name: 'c', change: 'deleted' },
      ],
    })
    expect((await client.schedules.get('a')).rev).toBe(rev)
  })

  it('leaves it to people what is paused, unless the file says so', async () => {
    write(FILE)
    await schedule('apply', 's.yaml')
    await schedule('pause', 'b', '--reason', 'moving')
    await schedule('apply', 's.yaml')
    expect(out).toBe('a: unchanged\nb: unchanged\n')
    write(FILE.replace('overlap: queue', 'overlap: allow, description: B'))
    await schedule('apply', 's.yaml')
    expect(await client.schedules.get('b')).toMatchObject({ overlap: 'allow', paused: { reason: 'moving' } })
    write(FILE.replace('overlap: queue', 'overlap: allow, enabled: true'))
    await schedule('apply', 's.yaml')
    expect(out).toBe('a: unchanged\nb: updated\n')
    const view = await client.schedules.get('b')
    expect(view.enabled).toBe(true)
    expect(view).not.toHaveProperty('paused')
    expect(view).not.toHaveProperty('description')
  })

  it('reads what export prints', async () => {
    write(FILE)
    await schedule('apply', 's.yaml')
    await schedule('pause', 'b')
    await schedule('export')
    expect(out).toContain('missedWindow: 90m\n')
    expect(out).not.toContain('s3cret')
    expect(out).not.toContain('overlap: skip')
    write(out)
    await schedule('apply', 's.yaml', '--prune')
    expect(out).toBe('a: unchanged\nb: unchanged\n')
    expect(await client.schedules.get('b')).toHaveProperty('paused')
  })

  it('checks everything before the first write', async () => {
    write(`${FILE}  - { name: c, job: nothing, expression: rate(1 hour) }
  - { name: d, job: mail, expression: rate(1 hour), parameters: { to: 5 } }
  - { name: e, job: report, expression: at(2029-12-31T00:00:00) }
`)
    expect(await schedule('apply', 's.yaml')).toBe(64)
    expect(err).toMatch(
      /^signalbox: 'c': there is no job 'nothing'.*\nsignalbox: 'd': .*to.*\nsignalbox: 'e': at.*not fire any more\n$/,
    )
    expect((await client.schedules.list()).total).toBe(0)
    write(FILE.replaceAll('s3cret', '"********"'))
    expect(await schedule('apply', 's.yaml')).toBe(64)
    expect(err).toContain("'a': a secret is masked")
    expect((await client.schedules.list()).total).toBe(0)
    write(`${FILE}  - { name: c, job: nothing, expression: rate(1 hour) }\n`)
    expect(await schedule('apply', 's.yaml', '--unknown-job')).toBe(0)
    expect(out).toContain('c: created')
  })
})

describe('the client', () => {
  it('saves only what it read, when asked to', async () => {
    const { schedules } = client
    const definition = { name: 'a.b', job: 'report', expression: 'rate(1 hour)' }
    const by = 'me'
    const { schedule: made, created } = await schedules.put(definition, { by, expect: 'absent' })
    expect([created, made.rev]).toEqual([true, 1])
    await expect(
      schedules.put({ ...definition, job: 'mail' }, { by, expect: 'absent' }),
    ).rejects.toMatchObject({ code: 'conflict' })
    const changed = await schedules.update('a.b', { jitterMs: 5, description: 'x' }, { by, expect: 1 })
    expect(changed).toMatchObject({ jitterMs: 5, rev: 2 })
    for (const stale of [
      schedules.update('a.b', { jitterMs: 6 }, { by, expect: 1 }),
      schedules.put({ ...definition, jitterMs: 6 }, { by, expect: 1 }),
    ])
      await expect(stale).rejects.toMatchObject({ code: 'conflict' })
    const again = await schedules.put(definition, { by, expect: 2 })
    expect(again).toMatchObject({ created: false, schedule: { rev: 3, jitterMs: 0 } })
    expect(await schedules.put({ ...definition, name: 'b' }, { by })).toMatchObject({ created: true })
    await expect(schedules.put({ ...definition, job: 'x' }, { by })).rejects.toMatchObject({
      code: 'not_found',
    })
    await schedules.put({ ...definition, job: 'x' }, { by, unknownJob: true })
    expect((await schedules.list({ enabled: true, text: 'A.B' })).schedules.map(({ name }) => name)).toEqual([
      'a.b',
    ])
    const preview = await schedules.preview({ expression: 'cron(0 9 ? * MON#1 *)', count: 1 })
    expect(preview.next).toEqual(['2030-01-07T09:00:00.000Z'])
  })
})
