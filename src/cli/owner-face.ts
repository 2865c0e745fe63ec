/**
 * What an owner that is not the server answers over HTTP on its socket: its message queues, as the server's API has them. It is
 * loaded by the first call.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../kernel/clock.ts'
import type { Random } from '../kernel/id.ts'
import type { Desk } from '../messages/desk.ts'
import type { MessageQueue } from '../ports/message-queue.ts'
import type { Logger } from '../server/logger.ts'
import { version } from '../version.ts'

export interface OwnerFaceOptions {
  readonly engine: MessageQueue
  readonly clock: Clock
  readonly random: Random
  /** What the owner is called: `signalbox sidecar`. */
  readonly command: string
  readonly logger?: Logger
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void

export class OwnerFace {
  readonly #options: OwnerFaceOptions
  #loaded: Promise<{ readonly handler: Handler; readonly desk: Desk }> | undefined

  constructor(options: OwnerFaceOptions) {
    this.#options = options
  }

  readonly answer: Handler = (request, response) => {
    if (request.url === '/healthz') {
      const facts = { status: 'ok', name: 'signalbox', version }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(facts))
      return
    }
    this.#loaded ??= this.#load()
    this.#loaded.then(
      ({ handler }) => handler(request, response),
      (err: unknown) => {
        this.#options.logger?.error({ err }, 'request failed')
        response.writeHead(500).end()
      },
    )
  }

  /** Gives back what was received and did not reach its caller. */
  async close(): Promise<void> {
    const { desk } = (await this.#loaded?.catch(() => undefined)) ?? {}
    desk?.drain()
    await desk?.settled()
  }

  async #load(): Promise<{ readonly handler: Handler; readonly desk: Desk }> {
    const { engine, clock, random, command } = this.#options
    const [{ sidecarApp }, { Desk }, { MessagesService }, { allIsRead }, { pino }] = await Promise.all([
      import('./sidecar/app.ts'),
      import('../messages/desk.ts'),
      import('../messages/service.ts'),
      import('../messages/grpc/unary.ts'),
      import('pino'),
    ])
    const desk = new Desk(new MessagesService({ engine, clock, random }), clock, allIsRead)
    const logger = this.#options.logger ?? pino({ level: 'silent' })
    const missing = `'${command}' owns this data directory, and serves message queues alone; stop it, start 'signalbox serve' and then it again: it attaches to the server`
    return { handler: await sidecarApp({ desk, logger, random, host: '127.0.0.1', missing }), desk }
  }
}
