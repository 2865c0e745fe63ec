/**
 * How listeners end: nothing new is accepted, calls in flight finish, and what does not finish within the grace is cut.
 *
 * Invariant: no connection is closed on which a request has arrived. Node closes those that are idle; the moment for it is right
 * after it has read what there was to read. Connections on which nothing ever came, such as browsers open in advance, Node counts
 * as busy; they get a moment to say something.
 */
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { sleep, type Clock } from '../kernel/clock.ts'

/** Connections that became idle while stopping are closed this often. */
const CLOSE_IDLE_MS = 20
/** How old a connection is at least on which nothing has arrived, when it is closed. */
const SILENT_MS = 1_000

/** Of a small listener, for health and metrics: what is being answered gets `graceMs`. Nothing happens if it does not listen. */
export async function closeSoon(server: Server, clock: Clock, graceMs: number): Promise<void> {
  if (!server.listening) return
  const late = clock.timer(graceMs, () => server.closeAllConnections())
  await new Promise((done) => {
    server.close(done)
    server.closeIdleConnections()
  })
  late.cancel()
}

export class Listeners {
  readonly #servers: readonly Server[]
  readonly #clock: Clock
  /** When (monotonic ms) each open connection was accepted. */
  readonly #since = new Map<Socket, number>()

  /** Before they listen. */
  constructor(servers: readonly Server[], clock: Clock) {
    this.#servers = servers
    this.#clock = clock
    for (const server of servers) {
      server.on('connection', (socket: Socket) => {
        this.#since.set(socket, clock.monotonic())
        socket.once('close', () => this.#since.delete(socket))
      })
    }
  }

  /** Idempotent; resolves when all connections are closed. @param onLook called now and then until then */
  async stop(graceMs: number, onLook: () => void = () => {}): Promise<void> {
    const open = this.#servers.filter((server) => server.listening)
    const finished = new AbortController()
    const deadline = this.#clock.timer(graceMs, () => {
      for (const server of open) server.closeAllConnections()
    })
    await allIsRead()
    void Promise.all(open.map((server) => new Promise((done) => server.close(done)))).then(() =>
      finished.abort(),
    )
    while (!finished.signal.aborted) {
      onLook()
      await sleep(this.#clock, CLOSE_IDLE_MS, finished.signal).catch(() => undefined)
      await allIsRead()
      for (const server of open) server.closeIdleConnections()
      this.#closeSilent()
    }
    deadline.cancel()
  }

  #closeSilent(): void {
    const before = this.#clock.monotonic() - SILENT_MS
    for (const [socket, since] of this.#since) if (socket.bytesRead === 0 && since <= before) socket.destroy()
  }
}

/** Resolves behind the phase of the event loop in which connections are accepted and read. */
function allIsRead(): Promise<void> {
  return new Promise((done) => setImmediate(done))
}
