/**
 * The owner's side: serves its store to attached processes on an HTTP server, normally the one on `owner.sock`.
 *
 * Invariants:
 * - each request is answered at most once, and only with what the store answered;
 * - a connection can fill neither memory nor the store: frames, requests and watches are bounded, and the host stops
 *   reading while its answers are not read;
 * - a connection that breaks, or sends what is no frame, ends alone: its watches and range deletions stop, its other
 *   requests run to their end.
 *
 * It asks for no credential: who may open the socket (mode 0600) may do everything. Never attach it to a network port.
 */
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { systemClock, type Clock } from '../../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../../kernel/error.ts'
import type { Change, Key, ListOptions, Range, Store } from '../../ports/store.ts'
import { FrameReader, FrameWriter } from './frames.ts'
import {
  isRequest,
  MAX_IN_FLIGHT,
  MAX_LISTS,
  MAX_WATCHES,
  maxFrameBytes,
  PROTOCOL,
  toWire,
  type Answer,
  type Bye,
  type Hello,
  type Hint,
  type Request,
} from './protocol.ts'

export interface StoreHost {
  /** Attached processes at present. */
  readonly connections: number
  /** Answers what is under way, then ends all connections. Before closing the server. Idempotent. */
  close(): Promise<void>
}

export interface StoreHostOptions {
  readonly clock?: Clock
  /** How long `close()` waits for peers to end their side; default 1,000. */
  readonly graceMs?: number
}

/**
 * Serves `store` to processes that attach through `server`; other upgrades are refused.
 * @example
 * const server = createServer()
 * const host = attachStoreHost(server, store)
 * server.listen('data/owner.sock')
 */
export function attachStoreHost(server: Server, store: Store, options: StoreHostOptions = {}): StoreHost {
  const { clock = systemClock, graceMs = 1_000 } = options
  const connections = new Set<Connection>()
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    // Without a listener a peer that vanishes would end the process.
    socket.on('error', () => socket.destroy())
    if (request.headers.upgrade?.trim().toLowerCase() !== PROTOCOL) {
      socket.end(`HTTP/1.1 426 Upgrade Required\r\nUpgrade: ${PROTOCOL}\r\nConnection: close\r\n\r\n`, () =>
        socket.destroy(),
      )
      return
    }
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${PROTOCOL}\r\nConnection: Upgrade\r\n\r\n`)
    if (head.length > 0) socket.unshift(head)
    const connection = new Connection(socket, store)
    connections.add(connection)
    void connection.serve().finally(() => connections.delete(connection))
  }
  server.on('upgrade', onUpgrade)
  return {
    get connections() {
      return connections.size
    },
    close: async () => {
      server.off('upgrade', onUpgrade)
      await Promise.all([...connections].map((connection) => connection.close(clock, graceMs)))
    },
  }
}

class Connection {
  readonly #socket: Duplex
  readonly #store: Store
  readonly #writer: FrameWriter
  readonly #underWay = new Set<Promise<void>>()
  /** Stops the watch or deleteRange of an id. */
  readonly #stops = new Map<number, AbortController>()
  readonly #ended = Promise.withResolvers<void>()
  #lists = 0
  #watches = 0
  #closing = false
  #wake: (() => void) | undefined

  constructor(socket: Duplex, store: Store) {
    this.#socket = socket
    this.#store = store
    this.#writer = new FrameWriter(socket)
    socket.on('drain', () => this.#wake?.())
    socket.on('close', () => {
      this.#stopAll()
      this.#ended.resolve()
    })
  }

  /** Reads and performs requests until the connection ends; never throws. */
  async serve(): Promise<void> {
    const { limits } = this.#store
    const hello = { limits, watch: this.#store.watch !== undefined, inFlight: MAX_IN_FLIGHT }
    this.#send({ hello } satisfies Hello)
    const reader = new FrameReader(maxFrameBytes(limits))
    try {
      // The peer's end is not ours: what is under way is answered first.
      for await (const chunk of this.#socket.iterator({ destroyOnReturn: false })) {
        for (const frame of reader.push(chunk as Buffer)) {
          if (!isRequest(frame)) throw new Error('not a request')
          this.#start(frame)
          while (this.#busy) await this.#room()
        }
      }
      this.#stopAll()
      await Promise.all(this.#underWay)
      this.#socket.end(() => this.#socket.destroy())
    } catch {
      // A broken connection, or a peer that does not speak the protocol.
      this.#socket.destroy()
    }
    await this.#ended.promise
  }

  async close(clock: Clock, graceMs: number): Promise<void> {
    this.#closing = true
    this.#writer.write(JSON.stringify({ bye: 1 } satisfies Bye))
    this.#stopAll()
    await Promise.all(this.#underWay)
    const timer = clock.timer(graceMs, () => this.#socket.destroy())
    await this.#ended.promise
    timer.cancel()
  }

  /** Enough is under way; reading goes on when there is room. */
  get #busy(): boolean {
    return this.#underWay.size >= MAX_IN_FLIGHT || this.#lists >= MAX_LISTS || this.#writer.full
  }

  #start(request: Request): void {
    const { i, m } = request
    if (m === 'stop') {
      this.#stops.get(i)?.abort()
      return
    }
    if (this.#stops.has(i)) throw new Error(`request ${i} is under way already`)
    if (this.#closing) {
      this.#send({ i, again: 1 })
      return
    }
    if (m === 'watch') {
      void this.#watch(request)
      return
    }
    if (m === 'list') this.#lists += 1
    const performed = this.#answer(request)
    this.#underWay.add(performed)
    void performed.then(() => {
      if (m === 'list') this.#lists -= 1
      this.#underWay.delete(performed)
      this.#wake?.()
    })
  }

  async #answer(request: Request): Promise<void> {
    let answer: Answer
    try {
      answer = { i: request.i, r: await this.#perform(request) }
    } catch (error) {
      // A deletion that only our close stopped goes on at the successor.
      const stopped = this.#closing && request.m === 'deleteRange' && !isSignalboxError(error)
      answer = stopped ? { i: request.i, again: 1 } : { i: request.i, e: toWire(error) }
    }
    this.#send(answer)
  }

  /** The store checks the arguments, whatever they are. */
  async #perform({ i, m, a }: Request): Promise<unknown> {
    const store = this.#store
    if (m === 'get') return store.get(a[0] as Key)
    if (m === 'list') return store.list(a[0] as Range, a[1] as ListOptions)
    if (m === 'commit') return store.commit(a[0] as readonly Change[])
    if (m === 'now') return store.now()
    if (m !== 'deleteRange') throw new SignalboxError('invalid_argument', `no method ${m}`)
    const stop = new AbortController()
    this.#stops.set(i, stop)
    try {
      await store.deleteRange(a[0] as Range, { signal: stop.signal })
      return undefined
    } finally {
      this.#stops.delete(i)
    }
  }

  async #watch({ i, a }: Request): Promise<void> {
    const stop = new AbortController()
    this.#stops.set(i, stop)
    this.#watches += 1
    try {
      if (this.#watches > MAX_WATCHES) throw new SignalboxError('throttled', 'too many watches')
      for await (const _ of this.#store.watch?.(a[0] as Range, stop.signal) ?? []) {
        this.#send({ i, h: 1 } satisfies Hint)
        // Hints coalesce in the store while the peer does not read.
        while (this.#writer.full && !stop.signal.aborted) await this.#room()
      }
      if (!stop.signal.aborted) throw new SignalboxError('unavailable', 'the watch has ended')
    } catch (error) {
      this.#send({ i, e: toWire(error) } satisfies Answer)
    } finally {
      this.#stops.delete(i)
      this.#watches -= 1
    }
  }

  #send(frame: Hello | Answer | Hint): void {
    let timed: object = frame
    if (!('h' in frame)) {
      try {
        const { ms, uncertaintyMs } = this.#store.now()
        timed = { ...frame, t: ms, u: uncertaintyMs }
      } catch {
        // A closed store has no time; the answer goes without.
      }
    }
    this.#writer.write(JSON.stringify(timed))
  }

  /** Resolves when something was answered or read, or the connection ended. */
  #room(): Promise<void> {
    return new Promise((resolve) => {
      const before = this.#wake
      this.#wake = () => {
        this.#wake = undefined
        before?.()
        resolve()
      }
    })
  }

  #stopAll(): void {
    for (const stop of this.#stops.values()) stop.abort()
    this.#wake?.()
  }
}
