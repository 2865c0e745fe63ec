/**
 * Plays histories and prints what came of it.
 *
 *   node test/simulator/run.ts                          2,000 histories
 *   node test/simulator/run.ts --count 100 --from 7     seeds 7 to 106
 *   node test/simulator/run.ts --seed 17 --trace        one, with everything that happened
 *   node test/simulator/run.ts --mutant double-grant    with a planted fault (mutants.ts), until it is caught
 *   … --serverless                                      without servers: each member next to the store
 *   … --json                                            the report as JSON
 *
 * Exit code: 0 all invariants held, 1 one was broken, 2 bad usage. With `--mutant`: 0 caught, 1 not.
 */
import { parseArgs } from 'node:util'
import { mutants } from './mutants.ts'
import { plant } from './plant.ts'
import type { Outcome } from './history.ts'
import type { Report } from './report.ts'

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '2000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    serverless: { type: 'boolean', default: false },
    mutant: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})

const mutant = mutants.find((m) => m.name === values.mutant)
if (values.mutant !== undefined && mutant === undefined) {
  console.error(`--mutant: no '${values.mutant}'; one of ${mutants.map((m) => m.name).join(', ')}`)
  process.exit(2)
}
if (mutant !== undefined) plant(mutant)
const serverless = values.serverless || mutant?.serverless === true

// Only now: what is planted must be there before the code is loaded.
const { play } = await import('./history.ts')
const { emptyReport, enter, print } = await import('./report.ts')

const from = Number(values.seed ?? values.from)
const count = values.seed === undefined ? Number(values.count) : 1
const started = process.hrtime.bigint()
const report: Report = emptyReport()
let failed: Outcome | undefined
for (let seed = from; seed < from + count && failed === undefined; seed++) {
  const print = values.trace ? console.log : undefined
  const outcome = await play(seed, { print, serverless })
  enter(report, outcome)
  if (outcome.violation !== undefined) failed = outcome
}
report.seconds = Number(process.hrtime.bigint() - started) / 1e9
if (values.json) console.log(JSON.stringify(report))
else print(report, values.mutant, serverless)
process.exitCode = (failed !== undefined) === (mutant !== undefined) ? 0 : 1
