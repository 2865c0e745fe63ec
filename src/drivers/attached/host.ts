/**
 * The owner's side of attached stores, on an HTTP server, normally the one on `owner.sock`.
 *
 * Invariants: those of `host-connection.ts`; pages and watches of a connection are bounded too; when it breaks, its watches
 * and range deletions stop, its other requests run to their end.
 *
 * It asks for no credential: who may open the socket (mode 0600) may do everything. Never attach it to a network port.
 */
import type { Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { isSignalboxError, SignalboxError } from '../../kernel/error.ts'
import type { Change, Key, ListOptions, Range, Store } from '../../ports/store.ts'
import { attachHost, Connection, type Host, type HostOptions } from './host-connection.ts'
import {
  isMethod,
  MAX_IN_FLIGHT,
  MAX_LISTS,
  MAX_WATCHES,
  maxFrameBytes,
  PROTOCOL,
  type Method,
  type StoreHello,
} from './protocol.ts'
import { toWire, type Answer, type Hello, type Hint, type Request } from './wire.ts'

/** Of the commits under way on a connection. */
const MAX_REQUEST_BYTES = 64 * 1024 * 1024

/**
 * Serves `store` to processes that attach through `server`, beside what else that server does.
 * @example
 * const server = createServer()
 * const host = attachStoreHost(server, store)
 * server.listen('data/owner.sock')
 */
export function attachStoreHost(server: Server, store: Store, options: HostOptions = {}): Host {
  return attachHost(server, PROTOCOL, (socket) => new StoreConnection(socket, store), options)
}

class StoreConnection extends Connection {
  readonly #store: Store
  /** Stops the watch or deleteRange of an id. */
  readonly #stops = new Map<number, AbortController>()
  #lists = 0
  #watches = 0

  constructor(socket: Duplex, store: Store) {
    super(socket, {
      frameBytes: maxFrameBytes(store.limits),
      requests: MAX_IN_FLIGHT,
      requestBytes: MAX_REQUEST_BYTES,
    })
    this.#store = store
  }

  protected greet(): void {
    const store = this.#store
    const hello = { limits: store.limits, watch: store.watch !== undefined, inFlight: MAX_IN_FLIGHT }
    this.#send({ hello } satisfies Hello<StoreHello>)
  }

  protected override get busy(): boolean {
    return super.busy || this.#lists >= MAX_LISTS
  }

  protected take(request: Request, bytes: number): void {
    const { i, m } = request
    if (!isMethod(m)) throw new Error('not a method')
    if (m === 'stop') {
      this.#stops.get(i)?.abort()
      return
    }
    if (this.#stops.has(i)) throw new Error(`request ${i} is under way already`)
    if (this.closing) {
      this.#send({ i, again: 1 })
      return
    }
    if (m === 'watch') {
      void this.#watch(request)
      return
    }
    if (m === 'list') this.#lists += 1
    const performed = this.#answer(request, m).finally(() => {
      if (m === 'list') this.#lists -= 1
    })
    this.track(performed, bytes)
  }

  protected closeRequests(): void {
    for (const stop of this.#stops.values()) stop.abort()
    this.wake()
  }

  protected peerGone(): void {
    this.closeRequests()
  }

  async #answer(request: Request, method: Method): Promise<void> {
    let answer: Answer
    try {
      answer = { i: request.i, r: await this.#perform(request, method) }
    } catch (error) {
      // A deletion that only our close stopped goes on at the successor.
      const stopped = this.closing && method === 'deleteRange' && !isSignalboxError(error)
      answer = stopped ? { i: request.i, again: 1 } : { i: request.i, e: toWire(error) }
    }
    this.#send(answer)
  }

  /** The store checks the arguments, whatever they are. */
  async #perform({ i, a }: Request, method: Method): Promise<unknown> {
    const store = this.#store
    if (method === 'get') return store.get(a[0] as Key)
    if (method === 'list') return store.list(a[0] as Range, a[1] as ListOptions)
    if (method === 'commit') return store.commit(a[0] as readonly Change[])
    if (method === 'now') return store.now()
    if (method !== 'deleteRange') throw new SignalboxError('invalid_argument', `no method ${method}`)
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
        while (this.writer.full && !stop.signal.aborted) await this.room()
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
    this.writer.write(JSON.stringify(timed))
  }
}
