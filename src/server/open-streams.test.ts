import { once } from 'node:events'
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { systemClock } from '../kernel/clock.ts'
import { OpenStreams } from './open-streams.ts'
import { Listeners } from './stop.ts'

it('end although they were still being prepared when the stop began', async () => {
  const streams = new OpenStreams()
  const asked = Promise.withResolvers<() => void>()
  const server = createServer((request, response) => {
    streams.note(request, response)
    asked.resolve(() => response.writeHead(200, { 'content-type': 'text/event-stream' }).write(':\n\n'))
  })
  const listeners = new Listeners([server], systemClock)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  get({ port, headers: { accept: 'text/event-stream' } }, (answer) => answer.resume())
  const begin = await asked.promise
  // A grace beyond this test's own limit.
  const stopped = listeners.stop(600_000, () => streams.end())
  begin()
  await stopped
  expect(server.listening).toBe(false)
})
