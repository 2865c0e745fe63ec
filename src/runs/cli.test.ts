/** The commands, against the whole application over a socket. */
import type { AddressInfo } from 'node:net'
import { CommanderError, type Command } from 'commander'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { createClient, type Client } from '../client/client.ts'
import { printError } from '../cli/output.ts'
import type { RunsContext } from '../cli/runs-context.ts'
import { memoryDatabase } from '../drivers/memory/index.ts'
import { systemClock } from '../kernel/clock.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { appWorld } from '../server/auth/testing/world.ts'
import { jobCommands, runsCommands } from './cli.ts'
import { createRunsService, type RunsService } from './service.ts'
import { aRun } from './testing/world.ts'

let clock: ManualClock
let runs: RunsService
let client: Client
let out: string
let err: string

beforeEach(async () => {
  out = ''
  err = ''
  clock = new ManualClock()
  const store = memoryDatabase({ limits: { keys: 'decimal' } }).connect({ clock })
  runs = createRunsService({ store, clock, random: seededRandom(5) })
  const served = await appWorld({ clock, runs })
  await served.app.listen({ port: 0, host: '127.0.0.1' })
  client = createClient({
    url: `http://127.0.0.1:${(served.app.server.address() as AddressInfo).port}`,
    token: await served.token({ role: 'operator' }),
    clock: systemClock,
    random: seededRandom(6),
  })
  onTestFinished(async () => {
    await client.close()
    await served.close()
  })
})

/** Runs one command line as the program does. @returns the exit code */
async function signalbox(make: (context: RunsContext) => Command, ...argv: string[]): Promise<number> {
  out = ''
  err = ''
  const context: RunsContext = {
    connect: async () => ({ runs: client.runs, close: async () => undefined }),
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (err += text) },
    env: {},
    clock,
    random: seededRandom(1),
    setExitCode: () => undefined,
  }
  const command = make(context)
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
const onRuns = (...argv: string[]): Promise<number> => signalbox(runsCommands, ...argv)
const onJob = (...argv: string[]): Promise<number> => signalbox(jobCommands, ...argv)

describe('signalbox job', () => {
  it('lists, shows and enqueues', async () => {
    expect(await onJob('list')).toBe(0)
    expect(out).toContain('No jobs')
    await runs.registerJobs(
      [{ name: 'mail', queue: 'default', attempts: 3, onLost: 'retry', description: 'Sends\u001B[31m mail' }],
      'w1',
    )
    expect(await onJob('enqueue', 'mail', '--input', '{"to":"ann"}', '--id', 'o-1')).toBe(0)
    expect(out).toBe('mail:o-1\n')
    await onJob('enqueue', 'mail', '--id', 'o-1')
    expect(out).toBe('mail:o-1 (there already, queued)\n')
    await onJob('list')
    expect(out).toMatch(/^JOB +QUEUE +WORKERS +QUEUED .*\nmail +default +1 +1 +0 +0 +0 +Sends\?\[31m mail\n$/)
    await onJob('show', 'mail')
    expect(out).toMatch(/attempts +3\n/)
    expect(await onJob('show', 'nothing')).toBe(66)
    expect(err).toContain("there is no job 'nothing'")
  })

  it('shows the parameters that a job takes', async () => {
    const input = {
      type: 'object',
      properties: {
        to: { type: 'string', description: 'Whom\u001B[31m' },
        token: { type: 'string', default: 'hunter2' },
        copies: { type: 'integer', default: 1 },
      },
      required: ['to'],
    }
    await runs.registerJobs(
      [{ name: 'mail', queue: 'default', attempts: 3, input, secrets: ['token'] }],
      'w1',
    )
    await onJob('show', 'mail')
    expect(out.split('\n').slice(-5)).toEqual([
      '  PARAMETER  TYPE',
      '  to         string   required   Whom?[31m',
      '  token      string   secret',
      '  copies     integer  default 1',
      '',
    ])
  })

  it('refuses what cannot be, before it asks anybody', async () => {
    expect(await onJob('enqueue', 'mail', '--input', '{no')).toBe(64)
    expect(err).toContain('--input')
    expect(await onJob('enqueue', 'mail', '--id', 'a b')).toBe(64)
    expect(await onJob('show', '../x')).toBe(64)
    expect(await onRuns('list', '--state', 'sleeping')).toBe(64)
    expect(await onRuns('show', 'nothing')).toBe(64)
    expect(await onRuns('cancel', 'mail:1', '--reason', ' ')).toBe(64)
  })
})

describe('signalbox runs', () => {
  it('shows a run of a schedule’s time that is held, and cancels it', async () => {
    const id = 'mail:nightly@2026-11-21T21:00:00Z'
    await runs.create(aRun({ id, schedule: 'nightly', source: 'schedule', hold: 'mail:1 has not ended' }))
    expect(await onRuns('show', id)).toBe(0)
    expect(out).toMatch(/started by +schedule nightly\n.* held +mail:1 has not ended\n/s)
    await onRuns('list', '--schedule', 'nightly')
    expect(out).toMatch(/^mail:nightly@2026-11-21T21:00:00Z +queued .* mail:1 has not ended$/m)
    expect(await onRuns('cancel', id)).toBe(0)
    await onRuns('show', id)
    expect(out).toMatch(/state +cancelled/)
    expect(out).not.toContain(' held ')
  })

  it('shows what ran, its log, and why it failed', async () => {
    const { run } = await runs.create(aRun({ attempts: 1 }))
    await runs.claim(run.id, { worker: 'w1', leaseMs: 30_000 })
    const lines = Array.from({ length: 2_500 }, (_, n) => ({
      at: n,
      level: 'info' as const,
      text: `line ${n}`,
    }))
    await client.runs.log(run.id, 1, lines, 0)
    await client.runs.log(run.id, 1, lines, 0)
    await client.runs.finish(run.id, 1, {
      kind: 'failed',
      error: { message: 'no such order', stack: 'Error\n  at x' },
    })
    await onRuns('list', '--state', 'failed', '--job', 'mail')
    expect(out).toContain('no such order')
    await onRuns('show', run.id)
    expect(out).toMatch(/state +failed, attempt 1 of 1\n/)
    expect(out).toContain('  at x')
    expect(await onRuns('log', run.id)).toBe(0)
    expect(out.split('\n')).toHaveLength(2_501)
    expect(out.split('\n').at(-2)).toBe('00:00:02.499 info  line 2499')
    await onRuns('log', run.id, '--follow', '--json')
    expect(out.split('\n')).toHaveLength(2_501)
    expect(await onRuns('show', 'mail:nothing')).toBe(66)
  })

  it('cancels and restarts, several with one call', async () => {
    const [a, b] = await client.runs.createMany([aRun(), aRun()])
    const ids = [a?.run.id as string, b?.run.id as string]
    await onRuns('cancel', ...ids, '--reason', 'enough')
    expect(out).toBe(ids.map((id) => `${id}: cancelled\n`).join(''))
    await onRuns('restart', ...ids)
    expect(out.trim().split('\n')).toHaveLength(2)
    const { runs: queued } = await client.runs.list({ states: ['queued'] })
    expect(new Set(queued.map(({ restartOf }) => restartOf))).toEqual(new Set(ids))
    await onRuns('restart', out.trim().split('\n')[0] as string)
    expect(err).toContain('has not ended')
    await onRuns('list', '--limit', '1', '--json')
    expect(JSON.parse(out)).toMatchObject({ runs: [{ state: 'queued' }], next: expect.any(String) as string })
  })
})

describe('a worker at a distance', () => {
  it('hears of a cancel while it waits', async () => {
    const { run } = await client.runs.create(aRun())
    const claim = { worker: 'w1', leaseMs: 30_000, nonce: 'n1' }
    expect(await client.runs.claim(run.id, claim)).toMatchObject({ claimed: true, epoch: 1 })
    expect(await client.runs.claim(run.id, claim)).toMatchObject({ claimed: true, epoch: 1 })
    expect(await client.runs.claim(run.id, { ...claim, nonce: 'n2' })).toEqual({
      claimed: false,
      why: 'running',
    })
    const over = new AbortController()
    const heard = (async () => {
      for await (const order of client.runs.watchCancel('w1', over.signal)) return order
      return undefined
    })()
    await client.runs.cancel(run.id, { by: 'me', reason: 'enough' })
    expect(await heard).toEqual({ id: run.id, epoch: 1, reason: 'enough' })
    over.abort()
  })
})
