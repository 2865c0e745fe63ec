/**
 * What a benchmark does to message queues, in process or attached: callers that send, or receive and delete, until together they
 * have handled a number of messages. As a process of its own, forked by attached.ts: argument SOCKET, orders by IPC.
 */
import { openAttachedMessages } from '../../src/drivers/attached/index.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import type { MessageQueue } from '../../src/ports/message-queue.ts'

export interface Order {
  readonly work: 'send' | 'consume'
  readonly queue: string
  readonly batch: number
  readonly callers: number
  readonly messages: number
  readonly bytes: number
}

export interface Done {
  readonly handled: number
  readonly cpuMicroseconds: number
}

export async function perform(engine: MessageQueue, order: Order): Promise<Done> {
  const { work, queue, batch, callers, messages, bytes } = order
  const body = 'x'.repeat(bytes)
  const entries = Array.from({ length: batch }, () => ({ body }))
  const step = {
    send: async () => {
      const results = await engine.send(queue, entries)
      return results.filter(({ status }) => status === 'sent').length
    },
    consume: async () => {
      const received = await engine.receive(queue, { max: batch, waitMs: 1_000 })
      if (received.length === 0) return 0
      const receipts = received.map(({ receipt }) => receipt)
      const results = await engine.delete(queue, receipts)
      return results.filter(({ status }) => status === 'deleted').length
    },
  }[work]
  const cpu = process.cpuUsage()
  let begun = 0
  let handled = 0
  const caller = async (): Promise<void> => {
    while (begun < messages) {
      begun += batch
      const some = await step()
      handled += some
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  const { user, system } = process.cpuUsage(cpu)
  return { handled, cpuMicroseconds: user + system }
}

const [, , socketPath] = process.argv
if (process.send !== undefined && socketPath !== undefined) {
  const engine = await openAttachedMessages({ socketPath, clock: systemClock, random: systemRandom })
  process.on('message', (order: Order) => {
    void perform(engine, order).then((done) => process.send?.(done))
  })
  process.on('disconnect', () => process.exit(0))
  process.send('ready')
}
