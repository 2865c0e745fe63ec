/** Processes of the voting service that are killed again and again, and started anew each time. */
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import { root, run, until, type Running } from '../../support/processes.ts'
import type { VotingProcess } from '../fixtures/voting-process.ts'

const FIXTURE = join(root, 'test/races/fixtures/voting-process.ts')

export class KilledProcess {
  readonly #settings: VotingProcess
  readonly #env: Readonly<Record<string, string>>
  #running: Running | undefined
  #commits = 0
  #ready = false
  #starts = 0
  kills = 0
  /** Kills that hit it between the begin of a commit and its answer. */
  midCommit = 0
  /** Answers that were lost on purpose. */
  lost = 0

  constructor(settings: VotingProcess, env: Readonly<Record<string, string>> = {}) {
    this.#settings = settings
    this.#env = env
  }

  async start(): Promise<void> {
    const settings = { ...this.#settings, seed: this.#settings.seed + this.#starts++ * 1_000 }
    this.#commits = 0
    this.#ready = false
    const running = run(process.execPath, [FIXTURE, JSON.stringify(settings)], {
      env: { ...process.env, ...this.#env },
    })
    this.#running = running
    createInterface({ input: running.child.stdout! }).on('line', (line) => {
      if (line.startsWith('ready')) this.#ready = true
      if (line.startsWith('begin')) this.#commits += 1
      if (line === 'end' || line === 'lost') this.#commits -= 1
      if (line === 'lost') this.lost += 1
    })
    await until('a process of the voting service is ready', () => {
      if (running.child.exitCode !== null) throw new Error(`it ended: ${running.err()}`)
      return this.#ready
    })
  }

  /** kill -9. Its last words are read to their end before they are judged. */
  async kill(): Promise<void> {
    this.#running?.kill('SIGKILL')
    await this.#running?.exited
    this.kills += 1
    if (this.#commits > 0) this.midCommit += 1
  }

  /** Gracefully. @returns its exit code */
  async stop(): Promise<number | string | undefined> {
    this.#running?.kill('SIGTERM')
    return this.#running?.exited
  }
}

interface Rhythm {
  readonly everyMs: number
  readonly atLeast: number
  /** After so many the pauses grow, so that a slow machine gets to its end. Default 1: they do not. */
  readonly growth?: number
}

/** Kills one after the other, each after so long, until the work is done; then lets them finish. */
export async function killUntil(
  done: () => boolean | Promise<boolean>,
  processes: readonly KilledProcess[],
  { everyMs, atLeast, growth = 1 }: Rhythm,
): Promise<void> {
  const over = async (kills: number): Promise<boolean> => kills >= atLeast && (await done())
  for (let kills = 0; !(await over(kills)); kills++) {
    const until = performance.now() + everyMs * growth ** Math.max(0, kills - atLeast)
    while (performance.now() < until && !(await over(kills))) {
      await new Promise((wake) => setTimeout(wake, Math.min(until - performance.now(), 250)))
    }
    if (await over(kills)) return
    const victim = processes[kills % processes.length]
    await victim?.kill()
    await victim?.start()
  }
}

export function report(what: string, votes: number, processes: readonly KilledProcess[]): void {
  const sum = (of: (process: KilledProcess) => number): number =>
    processes.reduce((all, each) => all + of(each), 0)
  const kills = `${sum((each) => each.kills)} kills, ${sum((each) => each.midCommit)} of them amid a commit`
  console.log(
    `${what}: ${votes} votes, each cast three times; ${kills}; ${sum((each) => each.lost)} answers lost`,
  )
}
