/**
 * The owner's side of one attached process, whatever it is served: reads its requests, within bounds, and writes the answers.
 *
 * Invariants:
 * - each request is answered at most once, and only with what the engine answered;
 * - a connection can fill neither memory nor the engine: frames and requests under way are bounded, in number and in bytes,
 *   and the host stops reading while its answers are not read;
 * - a connection that breaks, or sends what is no frame, ends alone.
 */
import type { Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { systemClock, type Clock } from '../../kernel/clock.ts'
import { FrameReader, FrameWriter } from './frames.ts'
import { acceptUpgrades } from './upgrades.ts'
import { isRequest, type Bye, type Request } from './wire.ts'

export interface Host {
  /** Attached processes at present. */
  readonly connections: number
  /** Answers what is under way, then ends all connections. Before closing the server. Idempotent. */
  close(): Promise<void>
}

export interface HostOptions {
  readonly clock?: Clock
  /** How long `close()` waits for peers to end their side; default 1,000. */
  readonly graceMs?: number
}

export interface ConnectionLimits {
  readonly frameBytes: number
  /** Requests under way. */
  readonly requests: number
  /** Of all requests under way. */
  readonly requestBytes: number
}

export abstract class Connection {
  readonly #socket: Duplex
  readonly #limits: ConnectionLimits
  protected readonly writer: FrameWriter
  readonly #underWay = new Set<Promise<void>>()
  #requests = 0
  readonly #ended = Promise.withResolvers<void>()
  #bytes = 0
  #closing = false
  #wake: (() => void) | undefined

  constructor(socket: Duplex, limits: ConnectionLimits) {
    this.#socket = socket
    this.#limits = limits
    this.writer = new FrameWriter(socket)
    socket.on('drain', () => this.wake())
    socket.on('close', () => {
      this.peerGone()
      this.wake()
      this.#ended.resolve()
    })
  }

  /** Says hello. */
  protected abstract greet(): void
  /**
   * Starts what a frame asks for.
   * @throws Error when the peer does not keep to the protocol: ends the connection
   */
  protected abstract take(request: Request, bytes: number): void
  /** Ends what would not end by itself; the peer is to ask the successor. */
  protected abstract closeRequests(): void
  /** Nothing can be answered, or nobody asks any more: ends what is under way. May be called again. */
  protected abstract peerGone(): void

  /** The host is closing: new requests are sent `again`. */
  protected get closing(): boolean {
    return this.#closing
  }

  /** Enough is under way; reading goes on when there is room. */
  protected get busy(): boolean {
    const { requests, requestBytes } = this.#limits
    return this.#requests >= requests || this.#bytes >= requestBytes || this.writer.full
  }

  /**
   * Counts a request as under way.
   * @param performed never rejects
   * @param bytes of its frame; undefined for one that waits, and holds up no others
   */
  protected track(performed: Promise<void>, bytes: number | undefined): void {
    this.#underWay.add(performed)
    this.#requests += bytes === undefined ? 0 : 1
    this.#bytes += bytes ?? 0
    void performed.then(() => {
      this.#underWay.delete(performed)
      this.#requests -= bytes === undefined ? 0 : 1
      this.#bytes -= bytes ?? 0
      this.wake()
    })
  }

  protected wake(): void {
    this.#wake?.()
  }

  /** Resolves when something was answered or read, or the connection ended. */
  protected room(): Promise<void> {
    return new Promise((resolve) => {
      const before = this.#wake
      this.#wake = () => {
        this.#wake = undefined
        before?.()
        resolve()
      }
    })
  }

  /** Reads and performs requests until the connection ends; never throws. */
  async serve(): Promise<void> {
    this.greet()
    const reader = new FrameReader(this.#limits.frameBytes)
    try {
      // The peer's end is not ours: what is under way is answered first.
      for await (const chunk of this.#socket.iterator({ destroyOnReturn: false })) {
        for (const frame of reader.push(chunk as Buffer)) {
          if (!isRequest(frame)) throw new Error('not a request')
          this.take(frame, reader.frameBytes)
          while (this.busy) await this.room()
        }
      }
      this.peerGone()
      await Promise.all(this.#underWay)
      this.writer.flush()
      this.#socket.end(() => this.#socket.destroy())
    } catch {
      // A broken connection, or a peer that does not speak the protocol.
      this.#socket.destroy()
    }
    await this.#ended.promise
  }

  async close(clock: Clock, graceMs: number): Promise<void> {
    this.#closing = true
    this.writer.write(JSON.stringify({ bye: 1 } satisfies Bye))
    this.closeRequests()
    await Promise.all(this.#underWay)
    const timer = clock.timer(graceMs, () => this.evict())
    await this.#ended.promise
    timer.cancel()
  }

  /** Its peer does not end its side. */
  protected evict(): void {
    this.#socket.destroy()
  }
}

/** Serves what `connect` makes of each connection to processes that attach through `server` by `protocol`. */
export function attachHost(
  server: Server,
  protocol: string,
  connect: (socket: Duplex) => Connection,
  { clock = systemClock, graceMs = 1_000 }: HostOptions,
): Host {
  const connections = new Set<Connection>()
  const refuseMore = acceptUpgrades(server, protocol, (socket) => {
    const connection = connect(socket)
    connections.add(connection)
    void connection.serve().finally(() => connections.delete(connection))
  })
  return {
    get connections() {
      return connections.size
    },
    close: async () => {
      refuseMore()
      await Promise.all([...connections].map((connection) => connection.close(clock, graceMs)))
    },
  }
}
