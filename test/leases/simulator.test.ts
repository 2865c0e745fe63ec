/** Thousands of lease histories with faults, and proof that the judge notices what it should. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { mutants } from './simulator/mutants.ts'

const script = fileURLToPath(new URL('simulator/run.ts', import.meta.url))

interface Report {
  readonly played: number
  readonly total: Readonly<Record<string, number>>
  readonly seed?: number
  readonly violations?: readonly string[]
}

async function run(...args: string[]): Promise<Report> {
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...args]).catch(
    (error: { stdout?: string; message: string }) => {
      if (!error.stdout?.startsWith('{')) throw error
      return { stdout: error.stdout }
    },
  )
  return JSON.parse(stdout) as Report
}

it('breaks no invariant in 10,000 histories', async () => {
  const { played, total, violations } = await run('--histories', '10000')
  expect(violations).toBeUndefined()
  expect(played).toBe(10_000)
  // A simulation in which nothing happens proves nothing.
  for (const what of [
    'acquired',
    'completed',
    'refused',
    'release completed',
    'release failure',
    'clear',
    'restart',
    'failed call',
  ]) {
    expect(total[what], what).toBeGreaterThan(1_000)
  }
})

it.each(mutants.map(({ name, fault }) => [name, fault]))('notices %s: %s', async (name) => {
  const { violations } = await run('--histories', '3000', '--mutant', name)
  expect(violations?.length).toBeGreaterThan(0)
})
