/**
 * kill -9 of the server, twenty times at random moments under load: nobody is granted twice, everybody keeps its ticket, and all get
 * through. The members write the log, a separate judge reads it.
 */
import { expect, it } from 'vitest'
import { startServer } from '../support/processes.ts'
import { killUnderLoad } from './kill-under-load.ts'

it('loses nothing and grants nothing twice', { timeout: 400_000 }, async () => {
  await killUnderLoad({ kills: 20, processes: 4, membersEach: 6, permits: 2, rounds: 60 })
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
