/**
 * The owner's socket beside the data: HTTP for the user who runs the owner, who is not asked who they are there, and store and
 * message queues for processes that attach. Only a process that owns its data directory has one.
 */
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { attachMessageHost, attachStoreHost } from '../drivers/attached/index.ts'
import type { Clock } from '../kernel/clock.ts'
import type { SignalboxApp } from './app.ts'
import { answerClientError } from './client-error.ts'
import { listenOnSocket, ownerSocketPath } from './listen.ts'
import type { OwnedDirectory } from './open-store.ts'

export interface OwnerDoor {
  readonly server: Server
  /** Listens, and tells others where. @param url where the owner is reached over TCP, if it is */
  open(url?: string): Promise<void>
  /** Ends what attached processes have under way, and their connections. Before the server is closed. Idempotent. */
  detach(): Promise<void>
}

export interface OwnerDoorOptions {
  readonly dataDir: string
  readonly clock: Clock
  readonly answer: RequestListener
  readonly requestTimeout?: number
  readonly keepAliveTimeout?: number
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
  { engine, store, messages }: OwnedDirectory,
  { dataDir, clock, answer, ...timeouts }: OwnerDoorOptions,
): OwnerDoor {
  const server = createServer(timeouts, answer)
  server.on('clientError', answerClientError)
  const hosts = [attachStoreHost(server, store, { clock }), attachMessageHost(server, messages, { clock })]
  return {
    server,
    async open(url) {
      const socket = ownerSocketPath(dataDir)
      await listenOnSocket(server, socket)
      engine.announce({ socket, ...(url === undefined ? {} : { url }) })
    },
    async detach() {
      await Promise.all(hosts.map((host) => host.close()))
    },
  }
}

/** The door of a server: the whole application, for callers who need no token there. */
export function serverDoor(
  app: Pick<SignalboxApp, 'server' | 'routing'>,
  owned: OwnedDirectory,
  { dataDir, local, clock }: { readonly dataDir: string; readonly local: LocalPeers; readonly clock: Clock },
): OwnerDoor {
  const { requestTimeout, keepAliveTimeout } = app.server
  const answer: RequestListener = (request, response) => app.routing(request, response)
  const door = ownerDoor(owned, { dataDir, clock, answer, requestTimeout, keepAliveTimeout })
  door.server.on('connection', (peer: Socket) => local.add(peer))
  return door
}
