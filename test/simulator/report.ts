/** What a run of the simulator came to. */
import type { Outcome } from './history.ts'
import { addTally, emptyTally, faultKinds, type Tally } from './tally.ts'

export interface Report {
  histories: number
  events: number
  members: number
  grants: number
  evictions: number
  simulatedHours: number
  seconds: number
  readonly faults: Tally
  /** Over the hashes of all histories, in the order of their seeds. */
  hash: string
  failure?: {
    readonly seed: number
    readonly invariant: string
    readonly detail: string
    readonly at: number
  }
}

export function emptyReport(): Report {
  return {
    histories: 0,
    events: 0,
    members: 0,
    grants: 0,
    evictions: 0,
    simulatedHours: 0,
    seconds: 0,
    faults: emptyTally(),
    hash: '',
  }
}

export function enter(report: Report, outcome: Outcome): void {
  report.histories++
  report.events += outcome.events
  report.members += outcome.members
  report.grants += outcome.grants
  report.evictions += outcome.evictions
  report.simulatedHours += outcome.simulatedMs / 3_600_000
  addTally(report.faults, outcome.tally)
  report.hash = mix(report.hash, outcome.hash)
  if (outcome.violation !== undefined) report.failure = { seed: outcome.seed, ...outcome.violation }
}

export function print(report: Report, mutant: string | undefined, serverless: boolean): void {
  const { histories, events, members, grants, evictions, simulatedHours, seconds, faults, failure } = report
  console.log(
    `${histories} histories in ${seconds.toFixed(1)} s: ${events} events, ${simulatedHours.toFixed(1)} simulated hours,`,
  )
  console.log(`${members} members, ${grants} grants, ${evictions} evictions; hash ${report.hash}`)
  if (mutant === undefined) for (const kind of faultKinds) console.log(`  ${kind.padEnd(22)} ${faults[kind]}`)
  if (failure === undefined) return
  console.log(`\nseed ${failure.seed} at ${(failure.at / 1_000).toFixed(3)} s breaks: ${failure.invariant}`)
  console.log(`  ${failure.detail}\nreplay: ${replay(failure.seed, { mutant, serverless })}`)
}

/** The command that plays one history again, readably. */
export function replay(
  seed: number,
  { mutant, serverless }: { readonly mutant?: string | undefined; readonly serverless: boolean },
): string {
  const command = `node test/simulator/run.ts --seed ${seed} --trace${serverless ? ' --serverless' : ''}`
  return mutant === undefined ? command : `${command} --mutant ${mutant}`
}

function mix(a: string, b: string): string {
  let hash = 0x811c9dc5
  for (const char of a + b) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
