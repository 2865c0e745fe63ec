/**
 * What commands of a race do, and the judge of it. All commands of a queue append lines to one file, whose order is the
 * order in which they were at work: so two at work at once, or one that works on behind its successor, show as fences
 * that go back.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'

export interface Step {
  readonly what: 'in' | 'tick' | 'out'
  readonly fence: number
  readonly name: string
}

/** Works for so many seconds. */
export function work(log: string, name: string, seconds: number): string {
  return `${line('in', log, name)}; sleep ${seconds}; ${line('out', log, name)}`
}

/** Works until it is killed, with a grandchild that does so too; both are deaf to polite requests. */
export function stubbornWork(log: string, name: string): string {
  const loop = `while :; do ${line('tick', log, name)}; sleep 0.05; done`
  return `trap '' TERM INT HUP; ${line('in', log, name)}; (${loop}) & ${loop}`
}

/** Works until a file appears. */
export function workUntil(file: string, log: string, name: string): string {
  return `${line('in', log, name)}; while [ ! -e '${file}' ]; do sleep 0.05; done; ${line('out', log, name)}`
}

function line(what: Step['what'], log: string, name: string): string {
  return `echo "${what} $SIGNALBOX_FENCE ${name}" >> '${log}'`
}

/** The same, by a process that is no shell. @param fence Infinity: it knows of none */
export function note(log: string, what: Step['what'], fence: number, name: string): void {
  appendFileSync(log, `${what} ${fence} ${name}\n`)
}

export function steps(log: string): Step[] {
  if (!existsSync(log)) return []
  const text = readFileSync(log, 'utf8')
  // The last line may still be being written.
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [what, fence, name = ''] = line.split(' ')
      return { what: what as Step['what'], fence: Number(fence), name }
    })
}

/** Who began to work, in order. */
export function order(log: string): string[] {
  return steps(log).flatMap(({ what, name }) => (what === 'in' ? [name] : []))
}

/** What is wrong with a queue of one permit, a sentence each. */
export function judgeWork(all: readonly Step[]): string[] {
  const complaints: string[] = []
  let last: Step | undefined
  let open: Step | undefined
  for (const step of all) {
    if (last !== undefined && step.fence < last.fence) {
      complaints.push(
        `${step.name} (fence ${step.fence}) was at work after ${last.name} (fence ${last.fence}) began`,
      )
    }
    if (step.what === 'in' && step.fence === last?.fence) {
      complaints.push(`${step.name} and ${last.name} both had fence ${step.fence}`)
    }
    if (step.what !== 'in' && step.fence !== open?.fence) {
      complaints.push(`${step.name} (fence ${step.fence}) was at work without having begun`)
    }
    if (step.what === 'in') open = step
    last = step
  }
  return complaints
}
