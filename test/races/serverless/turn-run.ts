/** `turn run` as a process of its own next to an engine, and what it says. */
import { cli, run, type Running } from '../../support/processes.ts'
import { environment, type Place } from './place.ts'

export interface TurnRunOptions {
  /** Shown with its records; also its label `name`. */
  readonly name: string
  readonly queue: string
  readonly ttlMs: number
  /** A script for `sh`. */
  readonly script: string
  readonly stopGraceMs?: number
  /** Wait for jobs of the dynamo-q tool, and hold them back; default: off. */
  readonly guard?: 'on' | 'off'
  /** The Node.js to run it on, with its first arguments; default: the present one. */
  readonly node?: readonly string[]
}

/** `turn run` as a process of its own, reporting in JSON. */
export function turnRun(place: Place, options: TurnRunOptions): Running {
  const {
    name,
    queue,
    ttlMs,
    script,
    stopGraceMs = 1_000,
    guard = 'off',
    node = [process.execPath],
  } = options
  const where = ['--backend', place.backend, '--queue-table', place.table, '--guard', guard]
  const timing = ['--ttl', `${ttlMs}ms`, '--stop-grace', `${stopGraceMs}ms`]
  const args = [
    'turn',
    'run',
    queue,
    ...where,
    ...timing,
    '--label',
    `name=${name}`,
    '--json',
    '--',
    'sh',
    '-c',
    script,
  ]
  const [command, ...rest] = [...node, cli, ...args] as [string, ...string[]]
  return run(command, rest, { env: { ...bareEnvironment(), ...environment(place) } })
}

/** Without what would choose another server or engine. */
function bareEnvironment(): NodeJS.ProcessEnv {
  const others = /^(?:SIGNALBOX_|AWS_|GCP_|GOOGLE_|FIRESTORE_|DYNAMODB_)/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !others.test(name)))
}

/** What a `turn run` said, as far as it is our JSON. */
export interface Report {
  readonly event: string
  readonly ticket?: number
  readonly fence?: number
  readonly position?: number
  readonly message?: string
}

export function reports(running: Running): Report[] {
  return running
    .err()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .flatMap((line) => {
      try {
        return [JSON.parse(line) as Report]
      } catch {
        return [] // half a line of one that was killed
      }
    })
}

/** Has it been told that it waits? */
export function isWaiting(running: Running): boolean {
  return running.err().includes('"event":"waiting"')
}
