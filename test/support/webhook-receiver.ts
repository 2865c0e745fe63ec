/** A receiver of webhooks on loopback that keeps what it is sent and answers as it is told. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Received {
  readonly path: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

export interface WebhookReceiver {
  readonly url: string
  readonly received: readonly Received[]
  /** From now on. */
  readonly answer: (status: number, headers?: Readonly<Record<string, string>>, body?: string) => void
  /** From now on it takes what comes and says nothing. */
  readonly silence: () => void
  readonly close: () => Promise<void>
}

export async function webhookReceiver(port = 0): Promise<WebhookReceiver> {
  const received: Received[] = []
  let say: { status: number; headers: Readonly<Record<string, string>>; body: string } | undefined = {
    status: 204,
    headers: {},
    body: '',
  }
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8')
      received.push({ path: request.url ?? '', headers: request.headers, body })
      if (say !== undefined) response.writeHead(say.status, say.headers).end(say.body)
    })
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    answer: (status, headers = {}, body = '') => (say = { status, headers, body }),
    silence: () => (say = undefined),
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}
