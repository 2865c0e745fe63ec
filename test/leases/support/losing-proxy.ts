/** An HTTP proxy that hands every request on and loses chosen answers: the server has done its work, the client sees a dead connection. */
import { Agent, createServer, request, type IncomingMessage } from 'node:http'
import { buffer } from 'node:stream/consumers'

export interface LosingProxy {
  readonly url: string
  /** Answers lost so far. */
  readonly lost: () => number
  close(): Promise<void>
}

/** @param loses asked once for each request, in the order of their arrival */
export async function startLosingProxy(
  target: string,
  loses: (request: IncomingMessage) => boolean,
): Promise<LosingProxy> {
  const agent = new Agent({ keepAlive: true })
  let lost = 0
  const server = createServer((incoming, outgoing) => {
    const serve = async (): Promise<void> => {
      const lose = loses(incoming)
      const body = await buffer(incoming)
      const { method, url = '/', headers } = incoming
      const answer = await new Promise<IncomingMessage>((done, failed) => {
        request(new URL(url, target), { agent, method, headers }, done).on('error', failed).end(body)
      })
      const text = await buffer(answer)
      if (lose) {
        lost++
        outgoing.destroy()
      } else outgoing.writeHead(answer.statusCode ?? 500, answer.headers).end(text)
    }
    serve().catch(() => outgoing.destroy())
  })
  await new Promise<void>((done, failed) => {
    server.on('error', failed)
    server.listen(0, '127.0.0.1', done)
  })
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`,
    lost: () => lost,
    async close() {
      const closed = new Promise<void>((done) => server.close(() => done()))
      server.closeAllConnections()
      agent.destroy()
      await closed
    },
  }
}
