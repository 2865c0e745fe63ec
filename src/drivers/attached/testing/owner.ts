/** An owner's HTTP server on a socket, for tests: with a host on it, to be stopped cleanly or to crash. */
import { createServer, type Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Host } from '../index.ts'

export interface Owner {
  readonly server: Server
  readonly host: Host
  /** As a clean shutdown does it: the host first. */
  stop(): Promise<void>
  /** As a crash does it: every connection breaks at once. */
  crash(): Promise<void>
}

export async function serveOn(socketPath: string, attach: (server: Server) => Host): Promise<Owner> {
  const server = createServer()
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  const host = attach(server)
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  const closed = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()))
  return {
    server,
    host,
    stop: async () => {
      await host.close()
      await closed()
    },
    crash: async () => {
      for (const socket of sockets) socket.destroy()
      await closed()
    },
  }
}
