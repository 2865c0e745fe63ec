/**
 * Plays files of lease scenarios (test/leases/vectors/scenario.ts) against the real server with a clock of its own:
 *
 *     npm run vectors:lease -- FILE…
 *
 * Prints one line for each failing scenario and `N passed, M failed` for each file; ends with 1 at the first file that fails.
 */
import { readFileSync } from 'node:fs'
import { playerOverHttp } from '../test/leases/vectors/over-http.ts'
import { play, type Scenario } from '../test/leases/vectors/scenario.ts'

const files = process.argv.slice(2)
if (files.length === 0) {
  console.error('usage: npm run vectors:lease -- FILE…')
  process.exit(64)
}
for (const file of files) {
  if (!(await passes(file))) process.exit(1)
}

async function passes(file: string): Promise<boolean> {
  let scenarios: Scenario[]
  try {
    scenarios = JSON.parse(readFileSync(file, 'utf8')) as Scenario[]
  } catch (error) {
    console.error(`${file}: ${(error as Error).message}`)
    return false
  }
  let failed = 0
  for (const scenario of scenarios) {
    const problem = await play(scenario, () => playerOverHttp(scenario))
    if (problem === undefined) continue
    failed += 1
    console.log(`${scenario.name}: ${problem}`)
  }
  console.log(`${scenarios.length - failed} passed, ${failed} failed`)
  return failed === 0
}
