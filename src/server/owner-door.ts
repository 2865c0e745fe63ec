/**
 * The owner's socket beside the data: the same application for the user who runs the server, who is not asked who they are
 * there, and the store for processes that attach. Only a server that owns its store has one.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { attachStoreHost } from '../drivers/attached/index.ts'
import type { SqliteStore } from '../drivers/sqlite/index.ts'
import type { Clock } from '../kernel/clock.ts'
import type { SignalboxApp } from './app.ts'
import { answerClientError } from './client-error.ts'
import { listenOnSocket, ownerSocketPath } from './listen.ts'

export interface OwnerDoor {
  readonly server: Server
  /** Listens, and tells others where. @param url where the server is reached over TCP */
  open(url: string): Promise<void>
  /** Ends what attached processes have under way, and their connections. Before the server is closed. Idempotent. */
  detach(): Promise<void>
}

/** Connections that came through an owner's socket. */
export class LocalPeers {
  readonly #sockets = new WeakSet<Socket>()

  add(socket: Socket): void {
    this.#sockets.add(socket)
  }

  isLocal({ socket }: IncomingMessage): boolean {
    return this.#sockets.has(socket)
  }
}

export function ownerDoor(
  app: Pick<SignalboxApp, 'server' | 'routing'>,
  store: SqliteStore,
  { dataDir, local, clock }: { readonly dataDir: string; readonly local: LocalPeers; readonly clock: Clock },
): OwnerDoor {
  const { requestTimeout, keepAliveTimeout } = app.server
  const server = createServer({ requestTimeout, keepAliveTimeout }, (request, response) =>
    app.routing(request, response),
  )
  server.on('connection', (peer: Socket) => local.add(peer))
  server.on('clientError', answerClientError)
  const attached = attachStoreHost(server, store, { clock })
  return {
    server,
    async open(url) {
      const socket = ownerSocketPath(dataDir)
      await listenOnSocket(server, socket)
      store.announce({ url, socket })
    },
    detach: () => attached.close(),
  }
}
