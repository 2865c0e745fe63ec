/** A real HTTP listener in front of an embedded message engine, for tests: the routes of the server, and nothing else. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { sidecarApp } from '../../src/cli/sidecar/app.ts'
import { openSqlite, sqliteMessageQueue } from '../../src/drivers/sqlite/index.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { seededRandom } from '../../src/kernel/id.ts'
import { Desk } from '../../src/messages/desk.ts'
import { allIsRead } from '../../src/messages/grpc/unary.ts'
import { MessagesService } from '../../src/messages/service.ts'
import type { MessageQueue } from '../../src/ports/message-queue.ts'

export interface MessageServer {
  readonly url: string
  readonly engine: MessageQueue
  /** Requests that are not answered yet. */
  readonly open: number
  /** Resolves when what is being given back is. */
  settled(): Promise<void>
  /** Nobody listens any more; the engine stays. */
  unplug(): Promise<void>
  close(): Promise<void>
}

export interface MessageServerOptions {
  readonly directory: string
  readonly clock: Clock
  readonly port?: number
  /** What the server uses instead of the engine itself. */
  readonly wrap?: (engine: MessageQueue) => MessageQueue
}

export async function serveMessages(options: MessageServerOptions): Promise<MessageServer> {
  const { directory, clock, port = 0, wrap = (engine) => engine } = options
  const sqlite = await openSqlite({ directory, clock })
  const engine = sqliteMessageQueue(sqlite)
  const random = seededRandom(1)
  const desk = new Desk(new MessagesService({ engine: wrap(engine), clock, random }), clock, allIsRead)
  const handle = await sidecarApp({ desk, logger: pino({ level: 'silent' }), random, host: '127.0.0.1' })
  let open = 0
  const server = createServer((request, response) => {
    open += 1
    response.once('close', () => (open -= 1))
    handle(request, response)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const unplug = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    engine,
    get open() {
      return open
    },
    settled: () => desk.settled(),
    unplug,
    async close() {
      desk.drain()
      if (server.listening) await unplug()
      await desk.settled()
      await engine.close()
      await sqlite.close()
    },
  }
}
