/**
 * What runs cost on the embedded store: how many are created, claimed and finished a second by one process, how many records that
 * writes, and how fast a list of many is answered.
 *
 *   node benchmarks/runs/engine.ts [--runs 20000] [--at-once 256] [--stored 100000]
 *
 * Everything is durable (WAL, synchronous=FULL) and shares the group commit, as on a server; nothing goes over HTTP.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openSqliteStore, type SqliteStore } from '../../src/drivers/sqlite/index.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import type { NewRun } from '../../src/runs/api.ts'
import { createRunsService, type RunsService } from '../../src/runs/service.ts'

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '20000' },
    'at-once': { type: 'string', default: '256' },
    stored: { type: 'string', default: '100000' },
  },
})
const runsToPlay = Number(values.runs)
const atOnce = Number(values['at-once'])
const stored = Number(values.stored)

const newRun = (n: number): NewRun => ({
  job: `job-${n % 10}`,
  queue: 'default',
  input: { order: n, note: 'a few words about it' },
  attempts: 5,
  onLost: 'retry',
  source: 'enqueue',
})

async function withRuns(use: (runs: RunsService, store: SqliteStore) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'signalbox-runs-'))
  const store = await openSqliteStore({ directory, clock: systemClock, owner: { command: 'benchmark' } })
  const send = async (_queue: string, messages: readonly unknown[]): Promise<boolean[]> =>
    messages.map(() => true)
  const runs = createRunsService({ store, clock: systemClock, random: systemRandom, send })
  try {
    await use(runs, store)
  } finally {
    await runs.close()
    await store.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Plays `count` things with so many at the same time. @returns things a second */
async function rate(count: number, one: (n: number) => Promise<unknown>): Promise<number> {
  let next = 0
  const started = performance.now()
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (next < count) await one(next++)
    }),
  )
  return Math.round((count * 1_000) / (performance.now() - started))
}

async function lives(): Promise<void> {
  await withRuns(async (runs, store) => {
    const ids: string[] = []
    const epochs = new Map<string, number>()
    const { transactions: before } = store.facts()
    const created = await rate(runsToPlay, async (n) => ids.push((await runs.create(newRun(n))).run.id))
    const claimed = await rate(runsToPlay, async (n) => {
      const id = ids[n] as string
      const claim = await runs.claim(id, { worker: 'w', leaseMs: 30_000 })
      if (claim.claimed) epochs.set(id, claim.epoch)
    })
    const beaten = await rate(runsToPlay, (n) => {
      const id = ids[n] as string
      return runs.beat(id, epochs.get(id) ?? 0, { leaseMs: 30_000 })
    })
    const finished = await rate(runsToPlay, (n) => {
      const id = ids[n] as string
      return runs.finish(id, epochs.get(id) ?? 0, { kind: 'succeeded' })
    })
    const whole = await rate(runsToPlay, async (n) => {
      const { run } = await runs.create(newRun(n))
      const claim = await runs.claim(run.id, { worker: 'w', leaseMs: 30_000 })
      if (claim.claimed) await runs.finish(run.id, claim.epoch, { kind: 'succeeded' })
    })
    const many = performance.now()
    for (let n = 0; n < runsToPlay; n += 1_000) {
      await runs.createMany(Array.from({ length: 1_000 }, (_, i) => newRun(n + i)))
    }
    const createdMany = Math.round((runsToPlay * 1_000) / (performance.now() - many))
    console.log({
      runsToPlay,
      atOnce,
      created,
      createdMany,
      claimed,
      beaten,
      finished,
      whole,
      transactions: store.facts().transactions - before,
    })
  })
}

async function lists(): Promise<void> {
  await withRuns(async (runs) => {
    const started = performance.now()
    for (let n = 0; n < stored; n += 2_000) {
      const made = await runs.createMany(
        Array.from({ length: Math.min(2_000, stored - n) }, (_, i) => newRun(n + i)),
      )
      await Promise.all(
        made.map(async ({ run: { id } }, i) => {
          if (i % 20 === 0) return
          const claim = await runs.claim(id, { worker: `w${i % 4}`, leaseMs: 86_400 })
          if (!claim.claimed || i % 20 === 1) return
          const failed = { kind: 'failed', error: { message: `no such order ${n + i}` } } as const
          await runs.finish(id, claim.epoch, i % 20 === 2 ? failed : { kind: 'succeeded' })
        }),
      )
    }
    console.log(`${stored} runs in ${Math.round(performance.now() - started)} ms`)
    const times = async (name: string, list: () => Promise<unknown>): Promise<void> => {
      const took: number[] = []
      for (let i = 0; i < 20; i++) {
        const from = performance.now()
        await list()
        took.push(performance.now() - from)
      }
      took.sort((a, b) => a - b)
      console.log(
        name.padEnd(36),
        took
          .map((ms) => ms.toFixed(1))
          .filter((_, i) => i === 10 || i === 19)
          .join(' / '),
        'ms (median / worst)',
      )
    }
    await times('all, 50', () => runs.list())
    await times('failed, 50', () => runs.list({ states: ['failed'] }))
    await times('one job, 50', () => runs.list({ job: 'job-3' }))
    await times('one job, failed, 100', () => runs.list({ job: 'job-2', states: ['failed'], limit: 100 }))
    await times('text that is there, 50', () => runs.list({ text: 'no such order' }))
    await times('text that is not there (10,000)', () => runs.list({ text: 'nothing like it' }))
    await times('one job, 1,000', () => runs.list({ job: 'job-1', limit: 1_000 }))
  })
}

console.log({ node: process.version, cpus: cpus().length, cpu: cpus()[0]?.model })
await lives()
await lists()
