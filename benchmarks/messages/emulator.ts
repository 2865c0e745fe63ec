/** An SQS emulator (fauxqs) as a process of its own: over IPC, `{ queue, messages, bytes }` makes a queue with so many messages. */
import { startFauxqs } from 'fauxqs'

const server = await startFauxqs({ port: 0, logger: false, host: '127.0.0.1' })
process.on('message', ({ queue, messages, bytes }: { queue: string; messages: number; bytes: number }) => {
  server.reset()
  server.createQueue(queue)
  const body = 'x'.repeat(bytes)
  for (let i = 0; i < messages; i++) server.sendMessage(queue, body)
  process.send?.(`http://127.0.0.1:${server.port}`)
})
process.on('disconnect', () => process.exit())
process.send?.('ready')
