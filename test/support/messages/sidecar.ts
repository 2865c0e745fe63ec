/** A sidecar as a process, and clients that know only its address. */
import { credentials, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js'
import {
  MessagesServiceClient,
  type ConsumeRequest,
  type ConsumeRequest_Open,
  type ConsumeResponse,
  type StatsResponse,
} from '../../../src/messages/grpc/generated/signalbox/messages/v1/messages.ts'
import { freePort, signalbox, until, type Running } from '../processes.ts'
import type { Place } from './places.ts'

export interface Sidecar {
  readonly running: Running
  readonly place: Place
  readonly port: number
  /** Its HTTP listener. */
  readonly url: string
  readonly client: MessagesServiceClient
}

const clients = new Set<MessagesServiceClient>()
const processes = new Set<Running>()

/** Closes the clients and kills the processes that tests have started; not the engine behind them. */
export function endSidecars(): void {
  for (const client of clients) client.close()
  clients.clear()
  for (const running of processes) running.kill('SIGKILL')
  processes.clear()
}

/** Killed by `endSidecars`. */
export function started(running: Running): Running {
  processes.add(running)
  return running
}

/** A client with a connection of its own. */
export function newClient(address: string): MessagesServiceClient {
  // Not over the connection of a client of the process before, which may be waiting to try again.
  const alone = { 'grpc.use_local_subchannel_pool': 1 }
  const client = new MessagesServiceClient(address, credentials.createInsecure(), alone)
  clients.add(client)
  return client
}

/** @param at the ports of the one before, for those that come in its stead */
export async function startSidecar(
  place: Place,
  args: readonly string[] = [],
  at?: Pick<Sidecar, 'port' | 'url'>,
): Promise<Sidecar> {
  const port = at?.port ?? (await freePort())
  const url = at?.url ?? `http://127.0.0.1:${await freePort()}`
  const own = ['--port', String(port), '--http-port', new URL(url).port, '--queue', place.queue]
  const running = started(signalbox(['sidecar', ...own, ...place.args, ...args], { env: place.env }))
  await until('the sidecar is ready', () => {
    if (running.child.exitCode !== null)
      throw new Error(`the sidecar ended: ${running.out()}${running.err()}`)
    return running.out().includes('is ready')
  })
  const client = newClient(`127.0.0.1:${port}`)
  await new Promise<void>((done, failed) => {
    client.waitForReady(Date.now() + 30_000, (error) => (error === undefined ? done() : failed(error)))
  })
  return { running, place, port, url, client }
}

export type Done<A> = (error: ServiceError | null, answer: A) => void

export function ask<A>(call: (done: Done<A>) => unknown): Promise<A> {
  return new Promise((answered, failed) => {
    call((error, answer) => (error === null ? answered(answer) : failed(error)))
  })
}

/** @returns the ids of those that were acknowledged */
export async function send(
  client: MessagesServiceClient,
  bodies: readonly string[],
  queue = '',
): Promise<string[]> {
  const ids: string[] = []
  for (let i = 0; i < bodies.length; i += 10) {
    const messages = bodies.slice(i, i + 10).map((body) => ({ body, attributes: {} }))
    const { results } = await ask<{ results: { messageId: string }[] }>((done) =>
      client.sendBatch({ queue, messages }, done),
    )
    ids.push(...results.map(({ messageId }) => messageId))
  }
  return ids
}

export function stats(client: MessagesServiceClient, queue = ''): Promise<StatsResponse> {
  return ask((done) => client.stats({ queue }, done))
}

export const numbered = (count: number, prefix = 'm'): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`)

export interface Heard {
  readonly id: number
  readonly body: string
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly deadline: number
}

/** A `Consume` stream and what it heard. */
export class Stream {
  readonly raw: ClientDuplexStream<ConsumeRequest, ConsumeResponse>
  readonly messages: Heard[] = []
  readonly acked: number[] = []
  readonly nacked: number[] = []
  readonly lost: { readonly id: number; readonly at: number }[] = []
  draining = false
  /** Told of each frame, after it was noted. */
  onFrame: (frame: ConsumeResponse) => void = () => undefined

  constructor(client: MessagesServiceClient, open: Partial<ConsumeRequest_Open> = {}) {
    this.raw = client.consume()
    this.raw.on('error', () => undefined)
    this.raw.on('data', (frame: ConsumeResponse) => this.#hear(frame))
    this.say({ open: { queue: '', credit: 10, attributeNames: [], ...open } })
  }

  say(request: Partial<ConsumeRequest>): void {
    this.raw.write({ ack: [], nack: [], extend: [], addCredit: 0, ...request })
  }

  /** Acks whatever comes. */
  ackAll(): void {
    this.say({ ack: this.messages.map(({ id }) => id) })
    this.onFrame = ({ messages }) => {
      if (messages.length > 0) this.say({ ack: messages.map(({ deliveryId }) => deliveryId) })
    }
  }

  get bodies(): ReadonlySet<string> {
    return new Set(this.messages.map(({ body }) => body))
  }

  #hear(frame: ConsumeResponse): void {
    const at = Date.now()
    for (const { deliveryId: id, message } of frame.messages) {
      this.messages.push({ id, at, body: message?.body ?? '', deadline: message?.deadlineMs ?? 0 })
    }
    this.acked.push(...frame.acked)
    this.nacked.push(...frame.nacked)
    this.lost.push(...frame.lost.map((id) => ({ id, at })))
    if (frame.draining) this.draining = true
    this.onFrame(frame)
  }
}
