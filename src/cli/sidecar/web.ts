/**
 * The sidecar's HTTP listener: health and metrics from Node's own server; the HTTP face, with all that it needs, is loaded
 * by the first request for it, so that a sidecar that is used over gRPC alone stays small.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Registry } from 'prom-client'
import type { Clock } from '../../kernel/clock.ts'
import { systemRandom } from '../../kernel/id.ts'
import type { Desk } from '../../messages/desk.ts'
import { listenTcp, type TcpAddress } from '../../server/listen.ts'
import type { Logger } from '../../server/logger.ts'
import { closeSoon } from '../../server/stop.ts'

export interface SidecarWebOptions {
  readonly desk: Desk
  readonly registry: Registry
  readonly logger: Logger
  readonly clock: Clock
  readonly address: TcpAddress
}

const FAREWELL_MS = 500

type Handler = (request: IncomingMessage, response: ServerResponse) => void

export class SidecarWeb {
  readonly #options: SidecarWebOptions
  readonly #server: Server
  #face: Promise<Handler> | undefined

  constructor(options: SidecarWebOptions) {
    this.#options = options
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  /** @throws SignalboxError `address_in_use`, … */
  listen(): Promise<TcpAddress> {
    return listenTcp(this.#server, this.#options.address, 'signalbox sidecar')
  }

  /** What is being answered gets `FAREWELL_MS`. */
  close(): Promise<void> {
    return closeSoon(this.#server, this.#options.clock, FAREWELL_MS)
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { desk, registry, logger } = this.#options
    const path = (request.url ?? '').split('?', 1)[0]
    const text = (status: number, body: string, type = 'text/plain; charset=utf-8'): void => {
      response.writeHead(status, { 'content-type': type }).end(body)
    }
    try {
      if (path === '/healthz') text(200, 'OK')
      else if (path === '/readyz') text(desk.draining ? 503 : 200, desk.draining ? 'stopping' : 'OK')
      else if (path === '/metrics') text(200, await registry.metrics(), registry.contentType)
      else (await (this.#face ??= this.#load()))(request, response)
    } catch (err) {
      logger.error({ err }, 'request failed')
      if (!response.headersSent) text(500, 'internal error')
    }
  }

  async #load(): Promise<Handler> {
    const { sidecarApp } = await import('./app.ts')
    const { desk, logger, address } = this.#options
    return sidecarApp({ desk, logger, random: systemRandom, host: address.host })
  }
}
