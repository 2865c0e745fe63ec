/**
 * The sidecar as a process on the embedded engine: its clients know only its address. What is at stake: nothing sent is lost, and
 * nothing acknowledged comes back, however it ends.
 */
import { join } from 'node:path'
import { credentials, type ClientDuplexStream } from '@grpc/grpc-js'
import { afterEach, describe, expect, it } from 'vitest'
import {
  MessagesServiceClient,
  type ConsumeRequest,
  type ConsumeResponse,
} from '../../src/messages/grpc/generated/signalbox/messages/v1/messages.ts'
import {
  endProcesses,
  freePort,
  signalbox,
  temporaryFolder,
  until,
  type Running,
} from '../support/processes.ts'

const clients: MessagesServiceClient[] = []
afterEach(() => {
  for (const client of clients.splice(0)) client.close()
  endProcesses()
})

interface Sidecar {
  readonly running: Running
  readonly port: number
  readonly folder: string
  readonly client: MessagesServiceClient
}

async function startSidecar(place?: { readonly port: number; readonly folder: string }): Promise<Sidecar> {
  const { port, folder } = place ?? { port: await freePort(), folder: temporaryFolder('sidecar') }
  const data = join(folder, 'data')
  const args = ['sidecar', '--port', String(port), '--data-dir', data, '--queue', 'orders', '--grace', '20s']
  const running = signalbox(args, { cwd: folder })
  await until('the sidecar is ready', () => {
    if (running.child.exitCode !== null) throw new Error(`the sidecar ended: ${running.err()}`)
    return running.out().includes('is ready')
  })
  // Not over the connection of a client of the process before, which may be waiting to try again.
  const alone = { 'grpc.use_local_subchannel_pool': 1 }
  const client = new MessagesServiceClient(`127.0.0.1:${port}`, credentials.createInsecure(), alone)
  clients.push(client)
  await new Promise<void>((done, failed) => {
    client.waitForReady(Date.now() + 30_000, (error) => (error === undefined ? done() : failed(error)))
  })
  return { running, port, folder, client }
}

/** @returns the ids of those that were acknowledged */
function send(client: MessagesServiceClient, bodies: readonly string[]): Promise<string[]> {
  const messages = bodies.map((body) => ({ body, attributes: {} }))
  return new Promise((done, failed) => {
    client.sendBatch({ queue: '', messages }, (error, answer) => {
      if (error === null) done(answer.results.map(({ messageId }) => messageId))
      else failed(error)
    })
  })
}

function stats(client: MessagesServiceClient): Promise<{ visible: number; inFlight: number }> {
  return new Promise((done, failed) => {
    client.stats({ queue: '' }, (error, answer) => (error === null ? done(answer) : failed(error)))
  })
}

function consume(client: MessagesServiceClient, credit: number, visibilityMs: number) {
  const stream: ClientDuplexStream<ConsumeRequest, ConsumeResponse> = client.consume()
  const heard: ConsumeResponse[] = []
  stream.on('data', (response: ConsumeResponse) => heard.push(response))
  stream.on('error', () => undefined)
  const say = (request: Partial<ConsumeRequest>): void => {
    stream.write({ ack: [], nack: [], extend: [], addCredit: 0, ...request })
  }
  say({ open: { queue: '', credit, visibilityMs, attributeNames: [] } })
  return { heard, say, stream, messages: () => heard.flatMap(({ messages }) => messages) }
}

describe('signalbox sidecar', () => {
  it('SIGTERM with 200 in flight: all can be acked, nothing is lost, exit 0', async () => {
    const sidecar = await startSidecar()
    for (let i = 0; i < 30; i++)
      await send(
        sidecar.client,
        Array.from({ length: 10 }, (_, n) => `m${i}-${n}`),
      )
    const { heard, say, messages } = consume(sidecar.client, 200, 60_000)
    await until('200 are in flight', () => messages().length === 200)
    sidecar.running.kill('SIGTERM')
    await until('it says so', () => heard.some(({ draining }) => draining))
    const ids = messages().map(({ deliveryId }) => deliveryId)
    say({ ack: ids.slice(0, 150) })
    await until('150 are acked', () => heard.flatMap(({ acked }) => acked).length === 150)
    say({ nack: ids.slice(150).map((deliveryId) => ({ deliveryId, delayMs: 0 })) })
    expect(await sidecar.running.exited).toBe(0)
    const again = await startSidecar(sidecar)
    expect(await stats(again.client)).toMatchObject({ visible: 150, inFlight: 0 })
  })

  it('work longer than the visibility: a hundred at once, none twice', async () => {
    const { client } = await startSidecar()
    for (let i = 0; i < 10; i++)
      await send(
        client,
        Array.from({ length: 10 }, (_, n) => `m${i}-${n}`),
      )
    const { heard, say, messages } = consume(client, 100, 2_000)
    await until('all are delivered', () => messages().length === 100)
    await new Promise((worked) => setTimeout(worked, 6_000))
    say({ ack: messages().map(({ deliveryId }) => deliveryId) })
    await until('all are acked', () => heard.flatMap(({ acked }) => acked).length === 100)
    expect(heard.flatMap(({ lost }) => lost)).toEqual([])
    expect(new Set(messages().map(({ message }) => message?.messageId)).size).toBe(100)
    expect(messages()).toHaveLength(100)
  })

  it('kill -9 under load: every message sent is delivered, none that was acked comes back', async () => {
    let sidecar = await startSidecar()
    const sent = new Set<string>()
    const acked = new Set<string>()
    const delivered = new Set<string>()
    const returned: string[] = []
    for (let round = 0; round < 3; round++) {
      const { stream, say } = consume(sidecar.client, 50, 1_000)
      const named = new Map<number, string>()
      stream.on('data', ({ messages, acked: done }: ConsumeResponse) => {
        for (const { deliveryId, message } of messages) {
          const id = message?.messageId ?? ''
          named.set(deliveryId, id)
          delivered.add(id)
          if (acked.has(id)) returned.push(id)
        }
        for (const id of done) acked.add(named.get(id) ?? '')
        if (messages.length > 0) say({ ack: messages.map(({ deliveryId }) => deliveryId) })
      })
      const stopped = new AbortController()
      const load = (async () => {
        for (let i = 0; !stopped.signal.aborted; i++) {
          const ids = await send(sidecar.client, [`r${round}-${i}-a`, `r${round}-${i}-b`]).catch(() => [])
          // Calls to a process that is gone fail without giving way to anything else.
          if (ids.length === 0) await new Promise((later) => setTimeout(later, 10))
          for (const id of ids) sent.add(id)
        }
      })()
      const enough = acked.size + 100
      await until('work is done', () => acked.size >= enough)
      await new Promise((later) => setTimeout(later, Math.random() * 100))
      sidecar.running.kill('SIGKILL')
      await sidecar.running.exited
      stopped.abort()
      await load
      sidecar = await startSidecar(sidecar)
    }
    const rest = consume(sidecar.client, 100, 60_000)
    rest.stream.on('data', ({ messages }: ConsumeResponse) => {
      for (const { message } of messages) {
        const id = message?.messageId ?? ''
        delivered.add(id)
        if (acked.has(id)) returned.push(id)
      }
      if (messages.length > 0) rest.say({ ack: messages.map(({ deliveryId }) => deliveryId) })
    })
    await until('all that was sent has come', () => [...sent].every((id) => delivered.has(id)))
    expect(returned).toEqual([])
    expect(sent.size).toBeGreaterThan(100)
  })

  it('the command line reaches it by SIGNALBOX_URL and by APP_PORT', async () => {
    const { port, folder } = await startSidecar()
    const run = async (env: Record<string, string>, ...args: string[]): Promise<string> => {
      const running = signalbox(['messages', ...args], { env, cwd: folder })
      const code = await running.exited
      if (code !== 0) throw new Error(`${args.join(' ')}: ${running.err()}`)
      return running.out()
    }
    const url = { SIGNALBOX_URL: `grpc://127.0.0.1:${port}` }
    await run(url, 'send', 'orders', 'hello', 'you')
    expect(await run({ APP_PORT: String(port) }, 'peek', 'orders')).toContain('hello')
    expect(await run(url, 'receive', 'orders', '--max', '10', '--delete')).toBe('hello\nyou\n')
    expect(JSON.parse(await run(url, 'stats', 'orders', '--json'))).toMatchObject({ visible: 0, inFlight: 0 })
  })
})
