/**
 * Turns of ours and jobs of the dynamo-q tool on one queue of one table, in turn: each begins to wait while the one before
 * it is at work, and no two are ever at work at once.
 */
import { join } from 'node:path'
import { expect } from 'vitest'
import { root, run, temporaryFolder, until, type Running } from '../../../support/processes.ts'
import { openArena, type EngineName } from '../place.ts'
import { leftovers } from '../records.ts'
import { turnRun } from '../turn-run.ts'
import { order, steps, work, type Step } from '../work.ts'

const QUEUE = 'beside'
const WORK_S = 2
const TURNS = ['ours-1', 'theirs-1', 'ours-2', 'theirs-2', 'ours-3', 'theirs-3'] as const

export async function besideReference(engine: EngineName): Promise<void> {
  const arena = await openArena(engine)
  const log = join(temporaryFolder('beside'), 'work')
  const fixture = join(root, 'test/races/serverless/fixtures/reference-job.ts')
  const start = (name: string): Running => {
    if (name.startsWith('theirs')) {
      const args = [JSON.stringify(arena.place), QUEUE, name, log, String(WORK_S * 1_000)]
      return run(process.execPath, [fixture, ...args])
    }
    return turnRun(arena.place, {
      name,
      queue: QUEUE,
      ttlMs: 10_000,
      guard: 'on',
      script: work(log, name, WORK_S),
    })
  }
  const startedAt = performance.now()
  const all: Running[] = []
  for (const name of TURNS) {
    all.push(start(name))
    await until(`${name} works`, () => order(log).includes(name), 120_000)
  }
  const codes = await Promise.all(all.map(({ exited }) => exited))
  expect(all.flatMap((running, i) => (codes[i] === 0 ? [] : [running.err()]))).toEqual([])
  console.log(`${engine}: six turns in ${Math.round((performance.now() - startedAt) / 1_000)} s`)
  expect(overlaps(steps(log))).toEqual([])
  expect(order(log)).toEqual(TURNS)
  expect(await leftovers(arena)).toEqual([])
  await arena.close()
}

/** The tool has no fences: what began must have ended before the next begins. */
function overlaps(all: readonly Step[]): string[] {
  return all.flatMap(({ what, name }, i) => {
    const before = all[i - 1]
    const fits = what === 'in' ? before === undefined || before.what === 'out' : before?.name === name
    return fits ? [] : [`${name} (${what}) came after ${before?.name} (${before?.what})`]
  })
}
