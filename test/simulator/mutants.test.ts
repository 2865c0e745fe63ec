/** The checker is checked: each planted fault (mutants.ts) is caught, that is, a run with it breaks an invariant. */
import { expect, it } from 'vitest'
import { mutants } from './mutants.ts'
import { mutate } from './plant.ts'
import { inPairs, simulate } from './processes.ts'
import type { Report } from './report.ts'

/** Histories after which a mutant counts as not caught. */
const PATIENCE = 6_000

it.each(mutants.map((mutant) => [mutant.name, mutant] as const))('%s can still be planted', (_, mutant) => {
  expect(() => mutate(mutant)).not.toThrow()
})

it('catches every planted fault', async () => {
  const outcomes = await inPairs(mutants, async ({ name }) => ({
    name,
    ...(await simulate('--mutant', name, '--count', `${PATIENCE}`)),
  }))
  console.log(outcomes.map(line).join('\n'))
  expect(outcomes.filter((o) => o.failure === undefined).map((o) => o.name)).toEqual([])
})

function line({ name, histories, failure }: Report & { readonly name: string }): string {
  return `${name.padEnd(34)} ${String(histories).padStart(5)} histories  ${failure?.invariant ?? 'NOT CAUGHT'}`
}
