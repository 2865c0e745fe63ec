/**
 * Ctrl-C at any moment of a `turn run`: while it starts, joins, waits, claims, holds, releases. Its entry is gone from the
 * table within two seconds, for good, and nobody else's turn ends with it.
 */
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import type { Random } from '../../../src/kernel/id.ts'
import { endProcesses, temporaryFolder, until, type Running } from '../../support/processes.ts'
import { chance, pause } from './chance.ts'
import { ENGINES, openArena, type Arena } from './place.ts'
import { holdsOf, judgeHolds, leftovers, namesIn } from './records.ts'
import { reports, turnRun } from './turn-run.ts'
import { judgeWork, steps, work } from './work.ts'

const QUEUE = 'cancelled'
const TTL_MS = 10_000
const VICTIMS = 24
const STEADY_EVERY = 4
/** In all but one of ten cases: where two cores do the work of thirty machines, some wait for a core. */
const GONE_MS = 2_000
/** What does not leave lapses, and not before its TTL. */
const LEFT_MS = 6_000
/** What a victim has said of itself when its moment comes, give or take `AIM_MS`. */
const AIMS = ['starting', 'connected', 'waiting', 'granted'] as const
const AIM_MS = 400
const LOOK_MS = 50

interface End {
  readonly name: string
  readonly phase: string
  readonly code: number | string
  /** Of the signal, on the clock of `performance`. */
  readonly at: number
}

afterAll(endProcesses)

it.each(ENGINES)(
  'takes a cancelled member out of the line at once, and nobody else, on %s',
  async (engine) => {
    const random = chance(engine)
    const arena = await openArena(engine)
    const lookout = watchTable(arena)
    const log = join(temporaryFolder('cancel'), 'work')
    const begin = (name: string, seconds = 0.15): Running =>
      turnRun(arena.place, { name, queue: QUEUE, ttlMs: TTL_MS, script: work(log, name, seconds) })
    // Until it ends a line can form.
    const steady = [begin('steady', 4).exited]
    const victims: Promise<End>[] = []
    for (let i = 0; i < VICTIMS; i++) {
      const name = `victim-${i}`
      victims.push(cancelled({ name, aim: AIMS[i % AIMS.length]!, running: begin(name) }, random))
      if (i % STEADY_EVERY === 0) steady.push(begin(`steady-${i}`).exited)
      await pause(200)
    }
    const ends = await Promise.all(victims)
    expect(await Promise.all(steady)).toEqual(steady.map(() => 0))
    const seen = await lookout.end()
    const stay = ({ name, at }: End): number => Math.max(0, (seen.get(name) ?? 0) - at)
    const longest = Math.max(...ends.map(stay))
    console.log(`${engine}: cancelled ${phases(ends)}; entries seen for up to ${Math.round(longest)} ms`)

    expect(ends.filter(({ code }) => ![130, 'SIGINT', 0].includes(code))).toEqual([])
    expect(ends.filter((end) => stay(end) > LEFT_MS)).toEqual([])
    expect(ends.filter((end) => stay(end) > GONE_MS).length).toBeLessThanOrEqual(VICTIMS / 10)
    expect(judgeWork(steps(log))).toEqual([])
    const holds = await holdsOf(arena, QUEUE)
    expect(judgeHolds(holds)).toEqual([])
    expect(holds.filter(({ as }) => as !== 'released')).toEqual([])
    expect(await leftovers(arena)).toEqual([])
    await arena.close()
  },
)

interface Victim {
  readonly name: string
  readonly aim: (typeof AIMS)[number]
  readonly running: Running
}

async function cancelled({ name, aim, running }: Victim, random: Random): Promise<End> {
  const said = (event: string): boolean => reports(running).some((report) => report.event === event)
  const isOver = (): boolean => running.child.exitCode !== null
  await until(`${name} is ${aim}`, () => aim === 'starting' || said(aim) || said('granted') || isOver())
  await pause(random.next() * AIM_MS)
  const phase = reports(running).at(-1)?.event ?? 'starting'
  const at = performance.now()
  running.kill('SIGINT')
  return { name, phase, at, code: await running.exited }
}

/** Looks again and again at who stands in the table. @returns when each was seen for the last time */
function watchTable(arena: Arena): { end(): Promise<ReadonlyMap<string, number>> } {
  const seen = new Map<string, number>()
  const over = new AbortController()
  const look = async (): Promise<void> => {
    const names = namesIn(await arena.items())
    for (const name of names) seen.set(name, performance.now())
  }
  const looking = (async () => {
    for (; !over.signal.aborted; await pause(LOOK_MS)) await look()
    await look()
  })()
  return {
    async end() {
      over.abort()
      await looking
      return seen
    },
  }
}

function phases(ends: readonly End[]): string {
  const found = Map.groupBy(ends, ({ phase }) => phase)
  return [...found].map(([phase, those]) => `${those.length} ${phase}`).join(', ')
}
