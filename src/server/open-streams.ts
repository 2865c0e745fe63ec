/**
 * Answers that never end by themselves (server-sent events), so that a stopping server can end them; their clients
 * reconnect, to a successor if there is one.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

export class OpenStreams {
  readonly #open = new Set<ServerResponse>()

  /** Call it for every request; remembers those that ask for a stream. */
  note({ headers }: IncomingMessage, response: ServerResponse): void {
    if (headers.accept?.includes('text/event-stream') !== true) return
    this.#open.add(response)
    response.once('close', () => this.#open.delete(response))
  }

  /** Ends those that have begun. */
  end(): void {
    for (const response of this.#open) if (response.headersSent) response.end()
  }
}
