/**
 * A network cable on loopback: a TCP proxy in front of an engine that can be cut and mended. Cut, it keeps every connection
 * open and forwards nothing, as a network does that loses all packets; mended, it delivers what was sent meanwhile, late.
 */
import { connect, createServer, type Socket } from 'node:net'

export interface Cable {
  /** `host:port` to connect to. */
  readonly host: string
  cut(): void
  mend(): void
  close(): Promise<void>
}

/** @param target `host:port` of the engine */
export async function startCable(target: string): Promise<Cable> {
  const [targetHost = '', targetPort = ''] = target.split(':')
  const sockets = new Set<Socket>()
  let cut = false
  /** What became of connections during the cut and must not show before it is mended. */
  let late: (() => void)[] = []

  const once = (event: () => void): void => {
    if (cut) late.push(event)
    else event()
  }
  const join = (from: Socket, to: Socket): void => {
    sockets.add(from)
    if (cut) from.pause()
    from.on('data', (chunk: Buffer) => {
      if (!to.write(chunk)) from.pause()
    })
    to.on('drain', () => {
      if (!cut) from.resume()
    })
    from.on('end', () => once(() => to.end()))
    from.on('error', () => {})
    from.on('close', () => {
      sockets.delete(from)
      once(() => to.destroy())
    })
  }
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ host: targetHost, port: Number(targetPort), allowHalfOpen: true })
    join(near, far)
    join(far, near)
  })
  await new Promise<void>((done, failed) => {
    server.on('error', failed)
    server.listen(0, '127.0.0.1', done)
  })
  const address = server.address()
  return {
    host: `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`,
    cut() {
      cut = true
      for (const socket of sockets) socket.pause()
    },
    mend() {
      cut = false
      for (const socket of sockets) socket.resume()
      for (const event of late.splice(0)) event()
    },
    async close() {
      late = []
      const closed = new Promise<void>((done) => server.close(() => done()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}
