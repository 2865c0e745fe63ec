/**
 * Turns of ours and jobs of the dynamo-q tool never overlap, in random histories (beside-reference/play.ts); and each step of
 * the guard's protocol is needed: a run without it breaks an invariant (beside-reference/mutants.ts).
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { mutants } from './beside-reference/mutants.ts'
import { mutate } from './plant.ts'
import { inPairs } from './processes.ts'

const PART = 1_500
const PARTS = 2
/** Histories after which a mutant counts as not caught. */
const PATIENCE = 4_000

const run = fileURLToPath(new URL('beside-reference/fixtures/run.ts', import.meta.url))

interface Report {
  readonly histories: number
  readonly events: number
  readonly held: number
  readonly jobs: number
  readonly excused: number
  readonly failure: string
}

it(`no job of theirs is at work beside ours in ${PART * PARTS} histories, and nobody waits for ever`, async () => {
  const parts = Array.from({ length: PARTS }, (_, i) => 1 + i * PART)
  const reports = await inPairs(parts, (from) => simulate('--from', `${from}`, '--count', `${PART}`))
  console.log(reports)
  expect(reports.map(({ failure }) => failure)).toEqual(parts.map(() => ''))
  const sum = (of: 'held' | 'jobs' | 'excused'): number => reports.reduce((n, report) => n + report[of], 0)
  expect(sum('held')).toBeGreaterThan(PART * PARTS)
  expect(sum('jobs')).toBeGreaterThan(PART * PARTS)
  // The one case that is not covered (judge.ts) must stay rare, or it would hide what it should not.
  expect(sum('excused')).toBeLessThan((PART * PARTS) / 100)
})

it('plays the same from the same seeds', async () => {
  const [first, again] = await inPairs(['7', '7'], (from) => simulate('--from', from, '--count', '40'))
  expect(again).toEqual(first)
})

it.each(mutants.map((mutant) => [mutant.name, mutant] as const))('%s can still be planted', (_, mutant) => {
  expect(() => mutate(mutant)).not.toThrow()
})

it('catches every planted fault', async () => {
  const outcomes = await inPairs(mutants, async ({ name }) => ({
    name,
    ...(await simulate('--mutant', name, '--count', `${PATIENCE}`)),
  }))
  console.log(
    outcomes.map(({ name, histories, failure }) => `${name.padEnd(26)} ${histories} ${failure}`).join('\n'),
  )
  expect(outcomes.filter(({ failure }) => failure === '').map(({ name }) => name)).toEqual([])
})

/** In a process of its own, so that a fault is planted in nobody else. @throws when it did not come to a report */
function simulate(...args: string[]): Promise<Report> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [run, '--json', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let err = ''
    child.stdout.on('data', (data: Buffer) => (out += data.toString()))
    child.stderr.on('data', (data: Buffer) => (err += data.toString()))
    child.on('error', reject)
    child.on('close', (code) => {
      try {
        resolve(JSON.parse(out) as Report)
      } catch (cause) {
        reject(new Error(`simulator ${args.join(' ')} ended with ${code}: ${err || out}`, { cause }))
      }
    })
  })
}
