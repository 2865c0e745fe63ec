/**
 * Answers that never end by themselves (server-sent events), so that a stopping server can end them; their clients
 * reconnect, to a successor if there is one.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'

/** Does the client ask for server-sent events? */
export function asksForStream({ headers }: IncomingMessage): boolean {
  return headers.accept?.includes('text/event-stream') === true
}

export class OpenStreams {
  readonly #open = new Set<ServerResponse>()

  /** Call it for every request; remembers those that ask for a stream. */
  note(request: IncomingMessage, response: ServerResponse): void {
    if (!asksForStream(request)) return
    this.#open.add(response)
    response.once('close', () => this.#open.delete(response))
  }

  /** Ends those that have begun; call it again for those that were still being prepared. */
  end(): void {
    for (const response of this.#open) if (response.headersSent) response.end()
  }
}
