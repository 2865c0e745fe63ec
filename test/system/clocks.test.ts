/**
 * Members whose wall clocks are ten minutes ahead, ten minutes behind and right hand over in order, exactly as if all were right:
 * real processes under libfaketime (Debian: faketime). On DynamoDB signatures of a wrong time are refused, as AWS refuses
 * them. A holder with a wrong clock that is killed is followed after its TTL by one with another wrong clock.
 */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { seededRandom } from '../../src/kernel/id.ts'
import { openArena, type Arena, type EngineName, type Place } from '../races/serverless/place.ts'
import { holdsOf, judgeHolds, leftovers } from '../races/serverless/records.ts'
import { isWaiting, turnRun } from '../races/serverless/turn-run.ts'
import { judgeWork, order, steps, stubbornWork, work, workUntil } from '../races/serverless/work.ts'
import { startWeather } from '../support/proxy/weather.ts'
import { endProcesses, temporaryFolder, until, type Running } from '../support/processes.ts'

const TTL_MS = 6_000
const AWS_SKEW_MS = 5 * 60_000
const CLOCKS = { ahead: '+600s', behind: '-600s', right: undefined } as const
type ClockName = keyof typeof CLOCKS
const LINE: readonly ClockName[] = ['ahead', 'behind', 'right', 'behind', 'ahead', 'right', 'ahead']

afterAll(endProcesses)

it.concurrent.each([
  { engine: 'DynamoDB', guard: 'off' },
  { engine: 'DynamoDB', guard: 'on' },
  { engine: 'Firestore', guard: 'off' },
  { engine: 'Firestore', guard: 'on' },
] as const)(
  'hands over in order whatever the clocks say, on $engine with guard $guard',
  async ({ engine, guard }) => {
    const arena = await openArena(engine)
    const { place, skewed, end } = await strictAboutTime(arena, engine)
    const folder = temporaryFolder('clocks')
    const [log, go] = [join(folder, 'work'), join(folder, 'go')]
    const queue = 'clocks'
    const nodes = {
      ahead: nodeWithClock(folder, 'ahead'),
      behind: nodeWithClock(folder, 'behind'),
      right: nodeWithClock(folder, 'right'),
    }
    const start = (name: string, clock: ClockName, script: string): Running =>
      turnRun(place, { name, queue, ttlMs: TTL_MS, guard, script, node: nodes[clock] })

    const first = start('first', 'behind', workUntil(go, log, 'first'))
    await until('the first one works', () => order(log).length === 1)
    const line: Running[] = []
    for (const [i, clock] of LINE.entries()) {
      const running = start(`${i}-${clock}`, clock, work(log, `${i}-${clock}`, 0.1))
      line.push(running)
      await until('it waits', () => isWaiting(running))
    }
    writeFileSync(go, '')
    expect(await Promise.all([first, ...line].map(({ exited }) => exited))).toEqual([0, ...LINE.map(() => 0)])
    expect(order(log)).toEqual(['first', ...LINE.map((clock, i) => `${i}-${clock}`)])

    const doomed = start('doomed', 'ahead', stubbornWork(log, 'doomed'))
    await until('the doomed one works', () => steps(log).some(({ what }) => what === 'tick'))
    const heir = start('heir', 'behind', work(log, 'heir', 0.1))
    await until('the heir waits', () => isWaiting(heir))
    doomed.kill('SIGKILL')
    const killedAt = performance.now()
    expect(await heir.exited).toBe(0)
    console.log(`${engine}: the heir was done ${Math.round(performance.now() - killedAt)} ms after the kill`)
    // A beat before the kill it was last heard of.
    expect(performance.now() - killedAt).toBeGreaterThan(TTL_MS / 2)

    expect(judgeWork(steps(log))).toEqual([])
    const holds = await holdsOf(arena, queue)
    expect(judgeHolds(holds)).toEqual([])
    const times = holds.flatMap(({ grantedAt, endedAt }) => [grantedAt, endedAt])
    expect(times.filter((at) => Math.abs(at - Date.now()) > AWS_SKEW_MS)).toEqual([])
    expect(await leftovers(arena)).toEqual([])
    if (engine === 'DynamoDB') expect(skewed()).toBeGreaterThan(0)
    await end()
    await arena.close()
  },
)

interface StrictPlace {
  readonly place: Place
  /** Requests refused because of their time. */
  readonly skewed: () => number
  readonly end: () => Promise<void>
}

async function strictAboutTime({ place }: Arena, engine: EngineName): Promise<StrictPlace> {
  if (engine === 'Firestore') return { place, skewed: () => 0, end: async () => {} }
  const random = seededRandom(1)
  const { host, failures, close } = await startWeather({ target: place.host, random, skewMs: AWS_SKEW_MS })
  return { place: { ...place, host }, skewed: () => failures.get('skewed') ?? 0, end: close }
}

/**
 * A Node.js whose wall clock is off, and with it that of the supervisor it starts: all processes of a machine share a clock. The
 * supervisor gets a bare environment, so it must be started through a script. (The program `faketime` would stand between
 * a signal and the process.)
 */
function nodeWithClock(folder: string, clock: ClockName): readonly string[] {
  const offset = CLOCKS[clock]
  if (offset === undefined) return [process.execPath]
  const script = join(folder, `node-${clock}`)
  const env = `LD_PRELOAD='${libfaketime()}' FAKETIME='${offset}' FAKETIME_DONT_FAKE_MONOTONIC=1`
  writeFileSync(script, `#!/bin/sh\n${env} exec '${process.execPath}' "$@"\n`, { mode: 0o755 })
  return [script, '--import', `data:text/javascript,process.execPath=${JSON.stringify(script)}`]
}

function libfaketime(): string {
  const set = execFileSync('faketime', ['-f', '+600s', 'sh', '-c', 'echo $LD_PRELOAD'], { encoding: 'utf8' })
  expect(set, 'install faketime').toContain('libfaketime')
  return set.trim()
}
