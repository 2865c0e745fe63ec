/**
 * A receiver of Signalbox's webhooks, with nothing but Node: checks the signature, takes each event once, prints it.
 *
 *   WEBHOOK_SECRET=whsec_… PORT=8090 node examples/notifications-webhook.ts
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'

/** Older ones may be replayed by somebody who overheard them. */
const MAX_AGE_S = 300

const secret = process.env['WEBHOOK_SECRET'] ?? ''
if (!secret.startsWith('whsec_')) throw new Error('set WEBHOOK_SECRET to the secret of the channel, whsec_…')

const server = createServer((request, response) => {
  receive(request, response).catch(() => response.writeHead(400).end('unreadable\n'))
})

async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await text(request)
  const { 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': signatures } = request.headers
  if (!isGenuine(secret, { id, seconds, signatures, body })) {
    response.writeHead(401).end('bad signature\n')
    return
  }
  // An event may come again, under the same id. A real receiver remembers ids where it keeps its data.
  if (!seen.has(String(id))) {
    seen.add(String(id))
    const { type, data } = JSON.parse(body) as { type: string; data: { [fact: string]: string } }
    const why = data['error'] ?? data['reason']
    console.log(`${type}: ${data['text']}${why === undefined ? '' : ` (${why})`}`)
  }
  response.writeHead(204).end() // anything else, or nothing within 10 s, and it comes again
}

const seen = new Set<string>()

interface Delivery {
  readonly id: unknown
  readonly seconds: unknown
  readonly signatures: unknown
  readonly body: string
}

/** Is one of the signatures made with our secret, lately? There are several while a secret is replaced. */
function isGenuine(whsec: string, { id, seconds, signatures, body }: Delivery): boolean {
  if (!(Math.abs(Date.now() / 1_000 - Number(seconds)) <= MAX_AGE_S)) return false
  const key = Buffer.from(whsec.slice('whsec_'.length), 'base64')
  const wanted = createHmac('sha256', key)
    .update(`${String(id)}.${String(seconds)}.${body}`)
    .digest()
  return String(signatures)
    .split(' ')
    .map((signature) => Buffer.from(signature.replace(/^v1,/, ''), 'base64'))
    .some((given) => given.length === wanted.length && timingSafeEqual(given, wanted))
}

server.listen(Number(process.env['PORT'] ?? 8090), '127.0.0.1', () => {
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : address
  console.log(`Send webhooks to http://127.0.0.1:${port}/`)
})
