/** The input of a job as its parameters: described, checked wherever it comes in, secret where the job says so. */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { RunsService } from '../runs/service.ts'
import type { JobContext, Worker } from './api.ts'
import { defineJob } from './define.ts'
import { missingSecret } from './secrets.ts'
import { stopReason } from './stop-reason.ts'
import { engines, world } from './testing/world.ts'

const parameters = z.object({
  increment: z.int().min(-100).max(100).describe('How much the column of each order grows'),
  region: z.enum(['eu', 'us']).default('eu').describe('Whose orders'),
  token: z.string().min(8).optional().describe('Of the shop'),
})
const update = (run: (input: z.output<typeof parameters>, context: JobContext) => unknown = () => 'done') =>
  defineJob({
    name: 'update-orders',
    description: 'Adds to a column of all orders',
    input: parameters,
    secrets: ['token'],
    retry: { attempts: 3, minDelay: '1s' },
    timeout: '1h',
    run,
  })

describe.each(engines)('the parameters of a job, on the %s engine', (kind) => {
  it('are known to the server with their descriptions once a worker runs it', async () => {
    const w = await world(kind, { keepsRuns: true })
    await w.work([update()])
    await w.clock.advance(1_000)
    expect(await w.runs.getJob('update-orders')).toMatchObject({
      description: 'Adds to a column of all orders',
      secrets: ['token'],
      input: {
        required: ['increment'],
        properties: {
          increment: { type: 'integer', description: 'How much the column of each order grows' },
          region: { enum: ['eu', 'us'], default: 'eu', description: 'Whose orders' },
          token: { type: 'string', description: 'Of the shop' },
        },
      },
    })
  })

  it('are refused before anything is kept: by the job, and by the server for a run by hand', async () => {
    const w = await world(kind, { keepsRuns: true })
    await w.work([update()])
    await w.clock.advance(1_000)
    const wrong = { increment: 'many' }
    const refused = { code: 'invalid_argument', message: expect.stringContaining('increment') as string }
    await expect(update().enqueue(wrong as never, { via: w.via, id: 'a' })).rejects.toMatchObject(refused)
    await expect(w.runs.runNow('update-orders', { input: wrong }, 'ada')).rejects.toMatchObject(refused)
    expect((await w.runs.list({})).runs).toEqual([])
  })

  it('are checked when the run starts: a wrong one fails it at once, and its code is not called', async () => {
    const w = await world(kind, { keepsRuns: true })
    let called = 0
    await w.work([update(() => (called += 1))])
    await w.runs.create({
      id: 'update-orders:nightly@2026-11-02T03:00:00Z',
      job: 'update-orders',
      queue: 'default',
      input: { increment: 1.5 },
      attempts: 3,
      onLost: 'fail',
      source: 'schedule',
      schedule: 'nightly',
    })
    await w.clock.advance(10_000)
    expect(await w.runs.get('update-orders:nightly@2026-11-02T03:00:00Z')).toMatchObject({
      state: 'failed',
      attempt: 1,
      error: { message: expect.stringContaining('increment') as string },
    })
    expect(called).toBe(0)
  })

  it('come with their defaults to the code, and secrets whole, which no view of the run shows', async () => {
    const w = await world(kind, { keepsRuns: true })
    const seen: unknown[] = []
    await w.work([update((input) => seen.push(input))])
    await w.clock.advance(1_000)
    const input = { increment: 2, token: 'hunter2hunter2' }
    const { run } = await w.runs.runNow('update-orders', { input, id: 'a' }, 'ada')
    await w.clock.advance(5_000)
    expect(seen).toEqual([{ ...input, region: 'eu' }])
    const shown = [run, await w.runs.get('update-orders:a'), await w.runs.list({})]
    expect(JSON.stringify(shown)).not.toContain('hunter2')
  })
})

describe('the signal of a job', () => {
  /** @returns what the job heard, and the run's state afterwards */
  async function stopped(stop: (runs: RunsService, worker: Worker) => Promise<unknown>): Promise<unknown> {
    const w = await world('fake', { keepsRuns: true })
    const heard: unknown[] = []
    const job = update(async (_, { signal }) => {
      expect(stopReason(signal)).toBeUndefined()
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      heard.push(stopReason(signal), stopReason(AbortSignal.any([signal])), String(signal.reason))
      signal.throwIfAborted()
    })
    const worker = await w.work([job])
    await job.enqueue({ increment: 1 }, { via: w.via, id: 'a' })
    await w.clock.advance(2_000)
    const done = stop(w.runs, worker)
    await w.clock.advance(5_000)
    await done
    return [...heard, (await w.runs.get('update-orders:a')).state]
  }

  it('says that somebody cancelled the run, and why; the run has ended', async () => {
    const said = await stopped((runs) => runs.cancel('update-orders:a', { by: 'ada', reason: 'wrong month' }))
    const why = expect.stringContaining('it was cancelled: wrong month') as string
    expect(said).toEqual(['cancelled', 'cancelled', why, 'cancelled'])
  })

  it('says that the worker stops; the run goes back to its queue', async () => {
    const said = await stopped((_, worker) => worker.close())
    const why = expect.stringContaining('its worker stops') as string
    expect(said).toEqual(['shutdown', 'shutdown', why, 'queued'])
  })

  it('of another kind gives no reason', () => {
    for (const reason of [undefined, null, 'shutdown', new Error('no'), { details: { reason: 'else' } }])
      expect(stopReason(AbortSignal.abort(reason))).toBeUndefined()
  })
})

describe('a schema', () => {
  it('whose library repeats values in its messages repeats no secret', async () => {
    const parrot: StandardSchemaV1<{ token: string; n: number }> = {
      '~standard': {
        version: 1,
        vendor: 'parrot',
        validate: (value) => ({
          issues: Object.entries(value as object).map(([key, said]) => ({
            message: `got ${said}`,
            path: [key],
          })),
        }),
      },
    }
    const w = await world('fake')
    const job = defineJob({ name: 'parrot', input: parrot, secrets: ['token'], run: () => undefined })
    const refusal = await job.enqueue({ token: 'hunter2', n: 7 }, { via: w.via }).catch(String)
    expect(refusal).toContain('n: got 7')
    expect(refusal).toContain('token: this secret is not what the schema wants')
    expect(refusal).not.toContain('hunter2')
  })

  it('that JSON Schema cannot say is told of, and the job runs', async () => {
    const w = await world('fake', { keepsRuns: true })
    const input = z.object({ at: z.date().optional() })
    await w.work([defineJob({ name: 'dated', input, run: () => undefined })])
    await w.clock.advance(1_000)
    expect(w.events).toMatchObject([
      {
        type: 'trouble',
        error: { message: expect.stringContaining('job dated: JSON Schema cannot') as string },
      },
    ])
    expect(await w.runs.getJob('dated')).not.toHaveProperty('input')
  })

  it.each([
    [z.object({ a: z.string() }), 'a', false],
    [z.object({ a: z.string() }), 'b', true],
    [z.object({ smtp: z.object({ password: z.string() }) }), 'smtp.password', false],
    [z.object({ smtp: z.object({ password: z.string() }) }), 'smtp.pasword', true],
    [z.object({ users: z.array(z.object({ key: z.string() })) }), 'users.key', false],
    [z.object({ users: z.array(z.object({ key: z.string() })) }), 'users.kei', true],
    [z.looseObject({ a: z.string() }), 'b', false],
    [z.record(z.string(), z.string()), 'b', false],
    [z.union([z.object({ a: z.string() }), z.object({ b: z.string() })]), 'c', false],
    [z.object({ a: z.date() }), 'b', false],
  ])('knows whether it has a secret field (%#)', (schema, secret, missing) => {
    expect(missingSecret(schema, [secret])).toBe(missing ? secret : undefined)
  })
})
