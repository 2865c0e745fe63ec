/**
 * kill -9 of the server, twenty times at random moments under load: nobody is granted twice, everybody keeps its ticket, and all get
 * through. The members write the log, a separate judge reads it.
 */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { isAlive, root, run, startServer, temporaryFolder, until } from '../support/processes.ts'
import { judge, readLog } from './judge.ts'

const KILLS = 20
const PROCESSES = 4
const MEMBERS = 6

it('loses nothing and grants nothing twice', { timeout: 400_000 }, async () => {
  let server = await startServer()
  const log = join(temporaryFolder('kills'), 'events.jsonl')
  const rounds = 60
  const members = Array.from({ length: PROCESSES }, () =>
    run(process.execPath, [
      join(root, 'test/races/fixtures/members.ts'),
      server.url,
      'deploy',
      String(MEMBERS),
      log,
      '15',
      '10000',
      '2',
      String(rounds),
    ]),
  )
  await until('all processes stand at the barrier', () => members.every((m) => m.out().includes('ready')))
  for (const { child } of members) child.stdin?.write('go\n')
  let underLoad = 0
  for (let kill = 0; kill < KILLS; kill++) {
    await new Promise((wake) => setTimeout(wake, 50 + Math.random() * 700))
    if (members.some((m) => isAlive(m.pid))) underLoad++
    server = await server.restart()
  }
  const codes = await Promise.all(members.map((m) => m.exited))
  await server.stop()
  expect(members.map((m) => m.err()).join('')).toBe('')
  expect(codes).toEqual(codes.map(() => 0))
  const verdict = judge(readLog(log), 2)
  expect(verdict.complaints).toEqual([])
  expect(verdict.grants).toBe(PROCESSES * MEMBERS * rounds)
  console.log(`${KILLS} kills, ${underLoad} of them under load; ${verdict.grants} grants, none twice`)
  expect(underLoad).toBe(KILLS)
})

it('gives a holder one whole TTL after a restart, and then lets the next one go', async () => {
  const ttlMs = 4_000
  let server = await startServer()
  const members = `${server.url}/api/v1/turns/grace/members`
  const post = async (url: string, body: object): Promise<Record<string, unknown>> => {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return (await answer.json()) as Record<string, unknown>
  }
  expect(await post(members, { id: 'holder-0001', ttlMs })).toMatchObject({ state: 'holding', fence: 1 })
  server = await server.restart()
  const upAt = performance.now()
  let view = await post(members, { id: 'waiter-0001', ttlMs, waitMs: 500 })
  expect(view).toMatchObject({ state: 'waiting', ticket: 2 })
  while (view['state'] === 'waiting') view = await post(`${members}/waiter-0001/wait`, { waitMs: 500 })
  // The server looked at the store shortly before it said that it was ready.
  expect(performance.now() - upAt).toBeGreaterThan(ttlMs - 1_500)
  expect(view).toMatchObject({ state: 'holding', fence: 2 })
  expect(await post(`${members}/holder-0001/wait`, {})).toMatchObject({ state: 'lost' })
  await server.stop()
})
