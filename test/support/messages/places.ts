/** Where a sidecar's messages are, for the tests that hold it to the same promises on every engine. */
import { join } from 'node:path'
import type { QueueOptions } from '../../../src/ports/message-queue.ts'
import { startServer, temporaryFolder } from '../processes.ts'
import { createQueue, sqsClient, type SqsEngine } from '../engines/sqs.ts'

/** A queue, and what a sidecar is told so that it serves it. */
export interface Place {
  readonly queue: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

export interface MessagePlaces {
  /** An acknowledged delete holds for ever. SQS delivers at least once, and promises no more. */
  readonly exactlyDeleted: boolean
  /** A new queue that nobody else uses. */
  place(options?: QueueOptions): Promise<Place>
  stop(): Promise<void>
}

let places = 0

/** Each queue in a data directory of its own, which belongs to the sidecar. */
export function embedded(): Promise<MessagePlaces> {
  return Promise.resolve({
    exactlyDeleted: true,
    place: (options) => Promise.resolve(inDirectory(join(temporaryFolder('sidecar'), 'data'), options)),
    stop: () => Promise.resolve(),
  })
}

/** All in the data directory of a server: the sidecars are its guests. */
export async function attached(): Promise<MessagePlaces> {
  const server = await startServer()
  return {
    exactlyDeleted: true,
    place: (options) => Promise.resolve(inDirectory(server.dataDir, options)),
    stop: () => server.stop(),
  }
}

function inDirectory(data: string, { visibilityMs = 30_000, deadLetter }: QueueOptions = {}): Place {
  const dead =
    deadLetter === undefined
      ? []
      : ['--dead-letter', deadLetter.queue, '--max-receives', String(deadLetter.maxReceives)]
  const args = ['--data-dir', data, '--visibility', `${visibilityMs}ms`, ...dead]
  return { queue: `orders-${++places}`, args, env: {} }
}

export async function onSqs(start: () => Promise<SqsEngine>): Promise<MessagePlaces> {
  const engine = await start()
  const client = sqsClient(engine)
  const { endpoint, region, credentials } = engine
  return {
    exactlyDeleted: false,
    place: async (options = {}) => {
      const queue = `orders-${process.pid}-${++places}`
      if (options.deadLetter !== undefined) await createQueue(client, options.deadLetter.queue)
      await createQueue(client, queue, options)
      const env: Record<string, string> =
        credentials === undefined
          ? {}
          : {
              APP_AWS_ACCESS_KEY_ID: credentials.accessKeyId,
              APP_AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
            }
      return { queue, args: ['--engine', 'sqs', '--endpoint', endpoint, '--region', region], env }
    },
    stop: async () => {
      client.destroy()
      await engine.stop()
    },
  }
}
