/**
 * The owner's side of attached message queues, on an HTTP server, normally the one on `owner.sock`.
 *
 * Invariants: those of `host-connection.ts`, and:
 * - messages that were received for a peer are with one of its callers, or on their way there, or visible again: when the
 *   connection breaks, what was not confirmed is given back, and receives that wait are aborted;
 * - a peer that does not read gets no more messages: those that come for it then are given back.
 *
 * It asks for no credential: who may open the socket (mode 0600) may do everything. Never attach it to a network port.
 */
import type { Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { SignalboxError } from '../../kernel/error.ts'
import type {
  MessageQueue,
  PeekOptions,
  PeekPage,
  QueueOptions,
  ReceivedMessage,
  ReceiveOptions,
  RedriveOptions,
  VisibilityChange,
} from '../../ports/message-queue.ts'
import { attachHost, Connection, type Host, type HostOptions } from './host-connection.ts'
import {
  isMessageMethod,
  MAX_ANSWER_LENGTH,
  MAX_WAITING,
  maxRequestBytes,
  messageProtocol,
  packChanged,
  packDeleted,
  packPage,
  packReceived,
  packSent,
  rooms,
  unpackOutgoing,
  type MessageMethod,
  type MessagesHello,
} from './message-wire.ts'
import { Returns } from './returns.ts'
import { toWire, type Answer, type Hello, type Request } from './wire.ts'

const MIB = 1024 * 1024
/** Of the requests under way on a connection. */
const MAX_REQUEST_BYTES = 16 * MIB
/** Of the answers that a peer has not read. */
const MAX_UNREAD = 64 * MIB
/** Answers that a peer has not confirmed: many more than it can have asked for. */
const MAX_UNCONFIRMED = 4 * MAX_WAITING
/** Pages under way on a connection: they can be large. */
const MAX_PAGES = 4

/**
 * Serves `engine` to processes that attach through `server`, beside what else that server does.
 * @example
 * const server = createServer()
 * const host = attachMessageHost(server, messages, { clock })
 * server.listen('data/owner.sock')
 */
export function attachMessageHost(server: Server, engine: MessageQueue, options: HostOptions = {}): Host {
  const returns = new Returns(engine)
  const connect = (socket: Duplex): Connection => new MessageConnection(socket, engine, returns)
  const host = attachHost(server, messageProtocol.name, connect, options)
  return {
    get connections() {
      return host.connections
    },
    close: async () => {
      await host.close()
      await returns.settled()
    },
  }
}

/** A receive that is with the engine. */
interface Receiving {
  readonly stop: AbortController
  /** Nobody waits for it any more; else it is the host that ends it. */
  unwanted: boolean
}

class MessageConnection extends Connection {
  readonly #engine: MessageQueue
  readonly #returns: Returns
  readonly #receiving = new Map<number, Receiving>()
  /** Answers that wait for their `got` or `stop`. */
  readonly #unconfirmed = new Map<number, { readonly queue: string; readonly receipts: readonly string[] }>()
  #waiting = 0
  #pages = 0
  #gone = false
  #evicted = false

  constructor(socket: Duplex, engine: MessageQueue, returns: Returns) {
    super(socket, {
      frameBytes: maxRequestBytes(engine.limits),
      requests: rooms.calls,
      requestBytes: MAX_REQUEST_BYTES,
    })
    this.#engine = engine
    this.#returns = returns
  }

  protected greet(): void {
    const engine = this.#engine
    const { limits, capabilities } = engine
    const optional = { peek: engine.peek !== undefined, redrive: engine.redrive !== undefined }
    const hello = { limits, capabilities, ...optional, ...rooms }
    this.writer.write(JSON.stringify({ hello } satisfies Hello<MessagesHello>))
  }

  protected override get busy(): boolean {
    return super.busy || this.#pages >= MAX_PAGES
  }

  protected take(request: Request, bytes: number): void {
    const { i, m, a } = request
    if (m === 'got') {
      for (const id of a) this.#unconfirmed.delete(id as number)
    } else if (m === 'stop') {
      this.#stop(i)
    } else if (!isMessageMethod(m)) {
      throw new Error('not a method')
    } else if (this.#receiving.has(i) || this.#unconfirmed.has(i)) {
      throw new Error(`request ${i} is under way already`)
    } else if (this.closing) {
      this.#send({ i, again: 1 })
    } else if (m === 'receive') {
      this.#receive(request, bytes)
    } else {
      this.track(this.#answer(request, m), bytes)
    }
  }

  protected closeRequests(): void {
    for (const { stop } of this.#receiving.values()) stop.abort()
    this.wake()
  }

  protected peerGone(): void {
    this.#gone = true
    this.closeRequests()
    // A peer that was evicted may have read its answers and not been able to say so.
    if (!this.#evicted) {
      for (const taken of this.#unconfirmed.values()) void this.#returns.giveBack({ ...taken, seen: true })
    }
    this.#unconfirmed.clear()
  }

  protected override evict(): void {
    this.#evicted = true
    super.evict()
  }

  #receive(request: Request, bytes: number): void {
    const { waitMs } = { ...(request.a[1] as ReceiveOptions | undefined) }
    const waits = typeof waitMs === 'number' && waitMs > 0
    if (this.#unconfirmed.size >= MAX_UNCONFIRMED) throw new Error('it confirms nothing')
    if (waits && this.#waiting >= MAX_WAITING) {
      const error = new SignalboxError('throttled', `${MAX_WAITING} receives of this process wait already`)
      this.#send({ i: request.i, e: toWire(error) })
      return
    }
    this.#waiting += waits ? 1 : 0
    const performed = this.#performReceive(request).then(() => {
      this.#waiting -= waits ? 1 : 0
    })
    this.track(performed, waits ? undefined : bytes)
  }

  async #performReceive({ i, a }: Request): Promise<void> {
    const queue = a[0] as string
    const receiving: Receiving = { stop: new AbortController(), unwanted: false }
    this.#receiving.set(i, receiving)
    const { signal } = receiving.stop
    let messages: readonly ReceivedMessage[]
    try {
      messages = await this.#engine.receive(queue, { ...(a[1] as ReceiveOptions), signal })
    } catch (error) {
      if (!signal.aborted) this.#send({ i, e: toWire(error) })
      else this.#send(receiving.unwanted || this.#gone ? { i, r: [] } : { i, again: 1 })
      return
    } finally {
      this.#receiving.delete(i)
    }
    if (messages.length === 0) {
      this.#send({ i, r: [] })
    } else if (receiving.unwanted || this.#gone || this.writer.queued > MAX_UNREAD) {
      await this.#returns.giveBack({ queue, receipts: messages.map(({ receipt }) => receipt) })
      this.#send({ i, r: [] })
    } else {
      this.#handOver(i, queue, messages)
    }
  }

  /** Answers with messages; with as many of them as one frame may hold. */
  #handOver(i: number, queue: string, messages: readonly ReceivedMessage[]): void {
    let some = messages
    let frame = JSON.stringify({ i, k: 1, r: some.map(packReceived) } satisfies Answer)
    while (frame.length > MAX_ANSWER_LENGTH && some.length > 1) {
      some = some.slice(0, Math.ceil(some.length / 2))
      frame = JSON.stringify({ i, k: 1, r: some.map(packReceived) } satisfies Answer)
    }
    this.#unconfirmed.set(i, { queue, receipts: some.map(({ receipt }) => receipt) })
    this.writer.write(frame)
    const rest = messages.slice(some.length).map(({ receipt }) => receipt)
    if (rest.length > 0) void this.#returns.giveBack({ queue, receipts: rest })
  }

  /** Nobody wants what this receive brings, or brought. */
  #stop(id: number): void {
    const receiving = this.#receiving.get(id)
    if (receiving !== undefined) {
      receiving.unwanted = true
      receiving.stop.abort()
      return
    }
    const taken = this.#unconfirmed.get(id)
    if (taken === undefined) return
    this.#unconfirmed.delete(id)
    this.track(
      this.#returns.giveBack(taken).then(() => this.#send({ i: id, r: [] })),
      undefined,
    )
  }

  async #answer({ i, a }: Request, method: Exclude<MessageMethod, 'receive'>): Promise<void> {
    const page = method === 'peek' ? 1 : 0
    this.#pages += page
    try {
      this.#send({ i, r: await this.#perform(method, a[0] as string, a[1]) })
    } catch (error) {
      this.#send({ i, e: toWire(error) })
    }
    this.#pages -= page
  }

  /** The engine checks the arguments, whatever they are. */
  async #perform(method: Exclude<MessageMethod, 'receive'>, queue: string, given: unknown): Promise<unknown> {
    const engine = this.#engine
    switch (method) {
      case 'send': {
        const messages = Array.isArray(given) ? given.map(unpackOutgoing) : (given as [])
        return (await engine.send(queue, messages)).map(packSent)
      }
      case 'delete':
        return (await engine.delete(queue, given as readonly string[])).map(packDeleted)
      case 'change':
        return (await engine.changeVisibility(queue, given as readonly VisibilityChange[])).map(packChanged)
      case 'declare':
        return engine.declareQueue(queue, given as QueueOptions)
      case 'describe':
        return engine.describeQueue(queue)
      case 'queues':
        return engine.listQueues()
      case 'stats':
        return engine.stats(queue)
      case 'purge':
        return engine.purge(queue)
      case 'peek':
        return this.#peek(queue, { ...(given as PeekOptions) })
      case 'redrive':
        if (engine.redrive === undefined) throw absent('redrive')
        return engine.redrive(queue, { ...(given as RedriveOptions) })
    }
  }

  /** A page that one frame can hold, if need be a shorter one. */
  async #peek(queue: string, options: PeekOptions): Promise<object> {
    const engine = this.#engine
    if (engine.peek === undefined) throw absent('peek')
    let page: PeekPage = await engine.peek(queue, options)
    while (page.messages.length > 1 && lengthOf(page) > MAX_ANSWER_LENGTH) {
      page = await engine.peek(queue, { ...options, limit: Math.floor(page.messages.length / 2) })
    }
    return packPage(page)
  }

  #send(answer: Answer): void {
    this.writer.write(JSON.stringify(answer))
  }
}

/** About how long a page is as JSON. */
function lengthOf({ messages }: PeekPage): number {
  return messages.reduce((sum, { body, attributes }) => {
    const values = Object.values(attributes).map(({ value }) => (4 / 3) * value.length)
    return sum + body.length + values.reduce((all, length) => all + length, 0)
  }, 0)
}

function absent(method: string): SignalboxError {
  return new SignalboxError('invalid_argument', `this engine has no ${method}`)
}
