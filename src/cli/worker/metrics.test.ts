import { Registry } from 'prom-client'
import { expect, it } from 'vitest'
import type { WorkerEvent } from '../../jobs/api.ts'
import { workerMetrics } from './metrics.ts'

it('counts as at work what is, also when one id is there several times', async () => {
  const registry = new Registry()
  const count = workerMetrics(registry, new Set(['mail']))
  const one = { queue: 'q', job: 'mail', id: 'a', attempt: 1 } as const
  const started: WorkerEvent = { type: 'started', ...one, waitedMs: 1 }
  const ended: WorkerEvent = { type: 'ended', ...one, outcome: 'succeeded', tookMs: 1, verdict: 'ack' }
  const running = async (): Promise<string[]> =>
    (await registry.metrics())
      .split('\n')
      .filter((line) => /^(?:signalbox_jobs_running|dramatiq_messages_inprogress)\{/.test(line))
  for (const event of [started, started, started, ended]) count(event)
  expect((await running()).map((line) => line.split(' ')[1])).toEqual(['2', '2'])
  // The last one did not begin here.
  for (const event of [ended, ended, ended]) count(event)
  expect((await running()).map((line) => line.split(' ')[1])).toEqual(['0', '0'])
  expect(await registry.metrics()).toContain(
    'signalbox_jobs_total{queue="q",job="mail",outcome="succeeded"} 4',
  )
})
