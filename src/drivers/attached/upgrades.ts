/**
 * The upgrades of one HTTP server, shared by all hosts on it: each takes those to its own protocol, and what nobody takes is
 * refused once.
 */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'

/** Gets the connection right after the upgrade was agreed. */
export type Accept = (socket: Duplex) => void

const servers = new WeakMap<Server, Map<string, Accept>>()

/**
 * Gives upgrades to `protocol` to `accept`.
 * @param protocol as in the `Upgrade` header, in lower case
 * @returns stops that: later ones are refused
 */
export function acceptUpgrades(server: Server, protocol: string, accept: Accept): () => void {
  const protocols = servers.get(server) ?? listen(server)
  protocols.set(protocol, accept)
  return () => {
    if (protocols.get(protocol) === accept) protocols.delete(protocol)
  }
}

function listen(server: Server): Map<string, Accept> {
  const protocols = new Map<string, Accept>()
  servers.set(server, protocols)
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Without a listener a peer that vanishes would end the process.
    socket.on('error', () => socket.destroy())
    const wanted = request.headers.upgrade?.trim().toLowerCase() ?? ''
    const accept = protocols.get(wanted)
    if (accept === undefined) {
      refuse(socket, [...protocols.keys()])
      return
    }
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${wanted}\r\nConnection: Upgrade\r\n\r\n`)
    if (head.length > 0) socket.unshift(head)
    accept(socket)
  })
  return protocols
}

function refuse(socket: Duplex, protocols: readonly string[]): void {
  // A server whose hosts have all closed is going.
  const status = protocols.length === 0 ? '503 Service Unavailable' : '426 Upgrade Required'
  const upgrade = protocols.length === 0 ? '' : `Upgrade: ${protocols.join(', ')}\r\n`
  socket.end(`HTTP/1.1 ${status}\r\n${upgrade}Connection: close\r\n\r\n`, () => socket.destroy())
}
