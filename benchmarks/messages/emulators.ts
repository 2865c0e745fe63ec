/** The SQS emulators that the ways are measured against, each in a process of its own. */
import { join } from 'node:path'
import { openSqsMessages } from '../../src/drivers/sqs/index.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import { startElasticmq } from '../../test/support/engines/elasticmq.ts'
import { createQueue, sqsClient } from '../../test/support/engines/sqs.ts'
import { forked, heard } from '../support/forked.ts'
import { access } from './ways-alone.ts'

export interface Emulator {
  /** Makes a queue with so many messages. @returns the endpoint */
  fill(queue: string, messages: number, bytes: number): Promise<string>
  stop(): Promise<void>
}

/** How long requests to the distant one take; SQS answers a process in its own region in about so many milliseconds. */
export const LATENCY_MS = 20

/** https://github.com/kibertoad/fauxqs */
export const fauxqs = (): Promise<Emulator> => inProcess('emulator.ts')

/** A stand-in with endless messages, far away. */
export const distant = (): Promise<Emulator> => inProcess('distant.ts')

async function inProcess(file: string): Promise<Emulator> {
  const emulator = forked(join(import.meta.dirname, file), [])
  await heard(emulator.child, (message) => message === 'ready')
  return {
    async fill(queue, messages, bytes) {
      emulator.child.send({ queue, messages, bytes })
      return (await heard(emulator.child, (message) => typeof message === 'string')) as string
    },
    stop: () => emulator.stop(),
  }
}

/** Of test:engines. @throws Error saying how to install it */
export async function elasticmq(): Promise<Emulator> {
  const engine = await startElasticmq()
  const client = sqsClient(engine)
  const parts = { clock: systemClock, random: systemRandom }
  const sender = await openSqsMessages({ ...access, ...parts, endpoint: engine.endpoint })
  return {
    async fill(queue, messages, bytes) {
      await createQueue(client, queue)
      const batch = Array.from({ length: 10 }, () => ({ body: 'x'.repeat(bytes) }))
      for (let sent = 0; sent < messages; sent += 160) {
        await Promise.all(Array.from({ length: 16 }, () => sender.send(queue, batch)))
      }
      return engine.endpoint
    },
    async stop() {
      await sender.close()
      client.destroy()
      await engine.stop()
    },
  }
}
