/**
 * SIGSTOP of a holder with its supervisor and its command for three TTLs, then SIGCONT: the thing that the turn protects refuses what the
 * late command writes, because its fence is old, and the command dies.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { isAlive, signalbox, startServer, until, type ServerProcess } from '../support/processes.ts'

const TTL_MS = 4_000
let server: ServerProcess
let sink: Server
const writes: { readonly fence: number; readonly accepted: boolean }[] = []

beforeAll(async () => {
  server = await startServer()
  let greatest = 0
  sink = createServer((request, response) => {
    const fence = Number(new URL(request.url ?? '', 'http://sink').searchParams.get('fence'))
    const accepted = fence >= greatest
    greatest = Math.max(greatest, fence)
    writes.push({ fence, accepted })
    response.writeHead(accepted ? 204 : 409).end()
  })
  await new Promise<void>((done) => sink.listen(0, '127.0.0.1', done))
})
afterAll(async () => {
  sink.close()
  await server.stop()
})

function turnRun(script: string): ReturnType<typeof signalbox> {
  const args = [
    'turn',
    'run',
    'freeze',
    '--url',
    server.url,
    '--ttl',
    `${TTL_MS}ms`,
    '--stop-grace',
    '500ms',
    '--',
    'sh',
    '-c',
    script,
  ]
  return signalbox(args)
}

it('refuses late writes of a holder that was frozen, and kills its command', async () => {
  const url = `http://127.0.0.1:${(sink.address() as AddressInfo).port}`
  const write = `curl -s -o /dev/null "${url}/?fence=$SIGNALBOX_FENCE"`
  const holder = turnRun(`trap '' TERM; while :; do ${write}; sleep 0.02; done`)
  await until('the holder writes', () => writes.length > 3)
  const next = turnRun(`for i in 1 2 3; do ${write}; done`)
  await until('the second one waits', () => next.err().includes('waiting'))

  const family = [holder.pid, ...descendants(holder.pid)]
  expect(family.length).toBeGreaterThanOrEqual(3) // turn run, its supervisor, the command
  for (const pid of family) process.kill(pid, 'SIGSTOP')
  expect(await next.exited).toBe(0)
  await new Promise((wake) => setTimeout(wake, 3 * TTL_MS))
  const late = (): typeof writes =>
    writes.slice(writes.findIndex((w) => w.fence === 2)).filter((w) => w.fence === 1)
  // The command wakes first, before those who would kill it.
  const [turnProcess, supervisor, ...command] = family
  // Its children before itself: one that had just ended is there until its parent looks after it.
  for (const pid of command.toReversed()) process.kill(pid, 'SIGCONT')
  await until('the late command writes', () => late().length > 2)
  for (const pid of [supervisor, turnProcess]) if (pid !== undefined) process.kill(pid, 'SIGCONT')
  expect(await holder.exited).toBe(75)
  expect(family.filter(isAlive)).toEqual([])

  expect(late().filter((w) => w.accepted)).toEqual([])
  console.log(`${late().length} late writes, all refused`)
})

/** Linux: all processes below `pid`, as /proc knows them. */
function descendants(pid: number): number[] {
  const parents = new Map<number, number>()
  for (const name of readdirSync('/proc').filter((n) => /^\d+$/.test(n))) {
    try {
      const status = readFileSync(`/proc/${name}/status`, 'utf8')
      parents.set(Number(name), Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]))
    } catch {
      // it has just ended
    }
  }
  const below = (parent: number): number[] =>
    [...parents].filter(([, p]) => p === parent).flatMap(([child]) => [child, ...below(child)])
  return below(pid)
}
