/** An HTTP proxy in front of an engine that counts the requests which go through it, and may let none through. */
import { createServer, request, type IncomingMessage } from 'node:http'
import type { SqsEngine } from '../engines/sqs.ts'

export interface CountedEngine extends SqsEngine {
  /** By operation, since the last look. */
  take(): Readonly<Record<string, number>>
  /** Answers every request itself, with a status of 503, or cuts it off, in turn. */
  down: boolean
}

export async function counted(engine: SqsEngine): Promise<CountedEngine> {
  let requests: Record<string, number> = {}
  let failures = 0
  const target = new URL(engine.endpoint)
  const server = createServer((incoming, answer) => {
    const operation = String(incoming.headers['x-amz-target']).replace(/^.*\./, '')
    requests[operation] = (requests[operation] ?? 0) + 1
    if (proxied.down) {
      failures += 1
      if (failures % 2 === 0) incoming.destroy()
      else answer.writeHead(503).end()
      return
    }
    const { method = 'POST', url = '/', headers } = incoming
    const onwards = request(
      { host: target.hostname, port: target.port, path: url, method, headers },
      (given: IncomingMessage) => {
        answer.writeHead(given.statusCode ?? 502, given.headers)
        given.pipe(answer)
      },
    )
    onwards.on('error', () => answer.destroy())
    answer.on('close', () => onwards.destroy())
    incoming.pipe(onwards)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const proxied: CountedEngine = {
    ...engine,
    down: false,
    endpoint: `http://127.0.0.1:${port}`,
    take() {
      const taken = requests
      requests = {}
      return taken
    },
    async stop() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
      await engine.stop()
    },
  }
  return proxied
}
