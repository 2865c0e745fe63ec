/**
 * Plays lease histories: `node test/leases/simulator/run.ts [--from 1] [--histories 1000] [--mutant name]`. Prints one JSON line
 * and ends with 1 when an invariant broke; the seed in it plays that history again (`--from SEED --histories 1`).
 */
import { parseArgs } from 'node:util'
import { plant } from '../../simulator/plant.ts'
import { mutants } from './mutants.ts'

const { values } = parseArgs({
  options: { from: { type: 'string' }, histories: { type: 'string' }, mutant: { type: 'string' } },
})
if (values.mutant !== undefined) {
  const mutant = mutants.find(({ name }) => name === values.mutant)
  if (mutant === undefined) throw new Error(`no mutant ${values.mutant}`)
  plant(mutant)
}
const { History } = await import('./history.ts')
const from = Number(values.from ?? 1)
const total: Record<string, number> = {}
let failure: { seed: number; violations: readonly string[] } | undefined
let played = 0
for (let seed = from; seed < from + Number(values.histories ?? 1_000) && failure === undefined; seed++) {
  const { violations, counts } = await new History(seed).run()
  played += 1
  for (const [what, count] of Object.entries(counts)) total[what] = (total[what] ?? 0) + count
  if (violations.length > 0) failure = { seed, violations }
}
console.log(JSON.stringify({ played, total, ...failure }))
process.exitCode = failure === undefined ? 0 : 1
