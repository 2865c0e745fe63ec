/**
 * A load balancer as simple as they come: TCP, in turn, to the servers whose `/readyz` says so. It repeats nothing: a server that
 * refuses a connection, or breaks one, shows.
 *
 * Invariant: a server is taken out only when it says that it leaves, or when nobody listens there. One that is slow, or whose
 * store is, stays as it was: on a loaded machine that says nothing.
 */
import { connect, createServer, type Socket } from 'node:net'

export interface Balancer {
  readonly url: string
  /** Ports it sends connections to at present. */
  readonly ready: () => readonly number[]
  /** Connections that a server refused although it was ready when last asked, and those that found no server. */
  readonly refused: () => number
  close(): Promise<void>
}

/** How often each server is asked. */
const ASK_EVERY_MS = 100
const PATIENCE_MS = 10_000

export async function startBalancer(ports: readonly number[]): Promise<Balancer> {
  let ready: readonly number[] = []
  let refused = 0
  let turn = 0
  const sockets = new Set<Socket>()
  const closing = new AbortController()

  const server = createServer({ allowHalfOpen: true }, (near) => {
    near.on('error', () => near.destroy())
    const port = ready[turn++ % ready.length]
    if (port === undefined) {
      refused++
      near.destroy()
      return
    }
    const far = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
    far.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') refused++
      near.destroy()
    })
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('close', () => {
        sockets.delete(from)
        if (from.errored !== null) to.destroy()
      })
      from.pipe(to)
    }
  })
  await new Promise<void>((done, failed) => {
    server.on('error', failed)
    server.listen(0, '127.0.0.1', done)
  })

  // Each by itself: one that is slow must not keep another, which leaves, in.
  const follow = async (port: number): Promise<void> => {
    while (!closing.signal.aborted) {
      const takes = await takesWork(port, closing.signal)
      const before = ready
      if (takes !== undefined) ready = ports.filter((one) => (one === port ? takes : before.includes(one)))
      await new Promise((wake) => setTimeout(wake, ASK_EVERY_MS))
    }
  }
  const following = ports.map(follow)

  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`,
    ready: () => ready,
    refused: () => refused,
    async close() {
      closing.abort()
      const closed = new Promise<void>((done) => server.close(() => done()))
      for (const socket of sockets) socket.destroy()
      await Promise.all([closed, ...following])
    },
  }
}

/** Undefined: what it answers, if it does, says neither. */
async function takesWork(port: number, closing: AbortSignal): Promise<boolean | undefined> {
  const signal = AbortSignal.any([closing, AbortSignal.timeout(PATIENCE_MS)])
  const headers = { connection: 'close' }
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal, headers })
    const text = await answer.text()
    if (answer.status === 200) return true
    return /\b(?:draining|stopping)\b/.test(text) ? false : undefined
  } catch (error) {
    const { cause } = error as { readonly cause?: NodeJS.ErrnoException }
    return cause?.code === 'ECONNREFUSED' ? false : undefined
  }
}
