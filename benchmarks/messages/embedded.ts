/**
 * The embedded engine behind the sidecar, over gRPC: durable sends by `SendBatch`, receive and ack by `Consume`, for one client
 * and for 64, on queues of growing depth. Sends and consumes alternate, as many of one as of the other, so that a queue
 * is as deep at the end as at the beginning.
 */
import { rmSync } from 'node:fs'
import { temporaryFolder } from '../../test/support/processes.ts'
import type { Summary } from '../support/statistics.ts'
import { fill, QUEUE } from './fill.ts'
import { measured, startSidecar, summaries, type Figures, type Sidecar } from './run.ts'

export interface EmbeddedOptions {
  readonly rounds: number
  readonly depths: readonly number[]
  /** Of 64 clients; one alone handles a quarter. */
  readonly messages: number
  readonly bytes: number
}

export interface EmbeddedRow {
  readonly depth: number
  readonly clients: number
  readonly send: Record<keyof Figures, Summary>
  readonly consume: Record<keyof Figures, Summary>
}

export async function embedded(options: EmbeddedOptions): Promise<EmbeddedRow[]> {
  const { rounds, depths, messages, bytes } = options
  const queues = await Promise.all(depths.map((depth) => opened(depth, bytes)))
  const rows = queues.flatMap((queue) => [1, 64].map((clients) => new Row(queue, clients)))
  // Depth by depth within a round, so that a machine that slows down does not look like a slow depth.
  for (let round = 0; round < rounds; round++) {
    for (const { sidecar, clients, send, consume } of rows) {
      const count = clients === 1 ? Math.ceil(messages / 4) : messages
      const warmUp = Math.ceil(count / 4)
      const task = { address: sidecar.grpc, queue: QUEUE, callers: clients, bytes, warmUp, messages: count }
      send.push(await measured('SendBatch', task, sidecar))
      consume.push(await measured('Consume', task, sidecar))
    }
  }
  for (const { sidecar, data } of queues) {
    await sidecar.stop()
    rmSync(data, { recursive: true })
  }
  return rows.map(({ depth, clients, send, consume }) => ({
    depth,
    clients,
    send: summaries(send),
    consume: summaries(consume),
  }))
}

interface Opened {
  readonly depth: number
  readonly data: string
  readonly sidecar: Sidecar
}

async function opened(depth: number, bytes: number): Promise<Opened> {
  const data = temporaryFolder('bench')
  await fill(data, depth, bytes)
  const sidecar = await startSidecar(['--data-dir', data, '--queue', QUEUE, '--visibility', '10m'])
  return { depth, data, sidecar }
}

class Row {
  readonly depth: number
  readonly sidecar: Sidecar
  readonly clients: number
  readonly send: Figures[] = []
  readonly consume: Figures[] = []

  constructor({ depth, sidecar }: Opened, clients: number) {
    this.depth = depth
    this.sidecar = sidecar
    this.clients = clients
  }
}
