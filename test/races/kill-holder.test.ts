/**
 * kill -9 of whoever holds: the command it ran is dead, with all it started, before the next one starts, and the next one starts within
 * the hold TTL and three seconds.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  isAlive,
  signalbox,
  startServer,
  temporaryFolder,
  until,
  type ServerProcess,
} from '../support/processes.ts'

const TTL_MS = 6_000
let server: ServerProcess
beforeAll(async () => {
  server = await startServer()
})
afterAll(async () => server.stop())

/** Notes the time of its every step, with a grandchild that does so too, and ignores polite requests to stop. */
function worker(file: string): string {
  const loop = `trap '' TERM INT HUP; while :; do date +%s%3N >> '${file}'; sleep 0.05; done`
  return `echo $$ > '${file}.pid'; (${loop}) & echo $! >> '${file}.pid'; ${loop}`
}

function times(file: string): number[] {
  try {
    return readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .filter((l) => l !== '')
      .map(Number)
  } catch {
    return []
  }
}

function turnRun(queue: string, script: string): ReturnType<typeof signalbox> {
  const args = [
    'turn',
    'run',
    queue,
    '--url',
    server.url,
    '--ttl',
    `${TTL_MS}ms`,
    '--stop-grace',
    '1s',
    '--',
    'sh',
    '-c',
    script,
  ]
  return signalbox(args)
}

it.each(['SIGKILL', 'SIGSTOP'] as const)(
  'survives %s of `turn run` while its command runs',
  async (signal) => {
    const folder = temporaryFolder('kill')
    const [first, second] = [join(folder, 'first'), join(folder, 'second')]
    const queue = `kill/${signal}`
    const holder = turnRun(queue, worker(first))
    await until('the first command works', () => times(first).length > 2)
    const next = turnRun(queue, `date +%s%3N >> '${second}'`)
    await until('the second one waits', () => next.err().includes('waiting'))

    const killedAt = Date.now()
    holder.kill(signal)
    expect(await next.exited).toBe(0)
    const startedAt = times(second)[0] ?? 0
    const lastWork = times(first).at(-1) ?? Infinity
    expect(lastWork, 'the first command was at work beside the second').toBeLessThan(startedAt)
    expect(startedAt - killedAt).toBeLessThanOrEqual(TTL_MS + 3_000)
    const pids = readFileSync(`${first}.pid`, 'utf8').trim().split('\n').map(Number)
    expect(pids.filter(isAlive)).toEqual([])
    holder.kill('SIGKILL')
  },
)

it('passes the turn on at once when the holder is interrupted', async () => {
  const folder = temporaryFolder('interrupt')
  const file = join(folder, 'first')
  const holder = turnRun('interrupt', `date +%s%3N >> '${file}'; exec sleep 600`)
  await until('the first command works', () => times(file).length > 0)
  const next = turnRun('interrupt', 'true')
  await until('the second one waits', () => next.err().includes('waiting'))
  const interruptedAt = Date.now()
  holder.kill('SIGINT')
  expect(await next.exited).toBe(0)
  expect(await holder.exited).toBe(130)
  expect(Date.now() - interruptedAt).toBeLessThan(TTL_MS)
})
