import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expectMessageSuites, messageConformance } from '../drivers/conformance/message-suite.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import type { MessageQueue } from '../ports/message-queue.ts'
import { openRemoteMessages } from './message-queue.ts'
import { serveMessages } from '../../test/support/message-server.ts'

messageConformance('sqlite over HTTP', async () => {
  const clock = new ManualClock()
  const directory = mkdtempSync(join(tmpdir(), 'signalbox-'))
  let server = await serveMessages({ directory, clock })
  /** Calls of this side that are not answered yet. */
  let calls = 0
  const clients: MessageQueue[] = []
  const connect = async (): Promise<MessageQueue> => {
    const client = await openRemoteMessages({ url: server.url, clock, random: seededRandom(1) })
    clients.push(client)
    return counted(client, (change) => (calls += change))
  }
  /** Until both sides know the same calls, and nothing moves: all of it happens in this process. */
  const settle = async (): Promise<void> => {
    for (let still = 0, before = -1; still < 5;) {
      await clock.settle()
      await server.settled()
      still = calls === server.open && calls === before ? still + 1 : 0
      before = calls
    }
  }
  return {
    messages: await connect(),
    advance: async (ms) => {
      await settle()
      await clock.advance(ms)
      await settle()
    },
    reopen: async () => {
      await server.close()
      server = await serveMessages({ directory, clock })
      return connect()
    },
    close: async () => {
      for (const client of clients) await client.close()
      await server.close()
      rmSync(directory, { recursive: true })
    },
  }
})

expectMessageSuites(1)

/** The same, with each of its calls counted while it is under way. */
function counted(messages: MessageQueue, count: (change: number) => void): MessageQueue {
  return new Proxy(messages, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      return async (...args: unknown[]) => {
        count(1)
        try {
          return (await Reflect.apply(value, target, args)) as unknown
        } finally {
          count(-1)
        }
      }
    },
  })
}
