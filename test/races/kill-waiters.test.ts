/**
 * kill -9 of 20 of 40 waiters, in a row: nobody alive is skipped, and the row costs a few TTLs, not twenty.
 */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { root, run, startServer, temporaryFolder, until, type ServerProcess } from '../support/processes.ts'
import { judge, readLog } from './judge.ts'

const TTL_MS = 4_000
let server: ServerProcess
beforeAll(async () => {
  server = await startServer()
})
afterAll(async () => server.stop())

interface View {
  readonly holders: readonly { readonly id: string }[]
  readonly waiters: readonly unknown[]
}

it('passes over a row of dead waiters within a few TTLs', async () => {
  const log = join(temporaryFolder('waiters'), 'events.jsonl')
  const url = `${server.url}/api/v1/turns/row`
  const post = (path: string, body: object): Promise<Response> =>
    fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  const waiting = async (): Promise<number> => ((await (await fetch(url)).json()) as View).waiters.length

  await post('/members', { id: 'first-holder', ttlMs: 600_000 })
  const start = async (count: number): Promise<ReturnType<typeof run>> => {
    const before = await waiting()
    const fixture = join(root, 'test/races/fixtures/members.ts')
    const members = run(process.execPath, [
      fixture,
      server.url,
      'row',
      String(count),
      log,
      '5',
      String(TTL_MS),
      '1',
    ])
    await until('it stands at the barrier', () => members.out().includes('ready'))
    members.child.stdin?.write('go\n')
    await until('its members wait', async () => (await waiting()) === before + count)
    return members
  }
  const [alive, doomed, last] = [await start(10), await start(20), await start(10)]
  doomed.kill('SIGKILL')
  const releasedAt = performance.now()
  await fetch(`${url}/members/first-holder`, { method: 'DELETE' })
  expect(await Promise.all([alive.exited, last.exited])).toEqual([0, 0])
  const took = performance.now() - releasedAt
  const verdict = judge(readLog(log), 1)
  expect(verdict.complaints).toEqual([])
  expect(verdict.grants).toBe(20)
  console.log(`a row of 20 dead waiters cost ${(took / TTL_MS).toFixed(1)} TTLs`)
  // 2 + 4 + 8 + … are watched at once: four rounds of a TTL each clear 20; a slow machine gets as much again.
  expect(took).toBeLessThan(8 * TTL_MS)
})
