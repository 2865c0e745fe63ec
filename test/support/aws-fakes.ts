/** EventBridge and its Scheduler as one HTTP endpoint, for servers in processes of their own; what they fire is really sent. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import { FakeScheduler } from '../../src/drivers/eventbridge/scheduler/testing/fake-scheduler.ts'
import type { HttpRequest } from '../../src/drivers/eventbridge/scheduler/testing/scheduler-wire.ts'
import { FakeEventBridge } from '../../src/drivers/eventbridge/testing/fake.ts'
import { systemClock } from '../../src/kernel/clock.ts'

export interface AwsFakes {
  /** For `AWS_ENDPOINT_URL_EVENTBRIDGE`. */
  readonly endpoint: string
  /** Endpoint, region and credentials for a server's environment. */
  readonly env: Readonly<Record<string, string>>
  readonly eventbridge: FakeEventBridge
  readonly scheduler: FakeScheduler
  stop(): Promise<void>
}

interface Handler {
  handle(request: HttpRequest & { headers: IncomingMessage['headers'] }): Promise<unknown>
}

interface HandlerAnswer {
  readonly response: { readonly statusCode: number; readonly headers: object; readonly body: Readable }
}

/** @param origin of the server that is called, whatever https address AWS was given: they are the tunnel, too */
export async function startAwsFakes(origin: string): Promise<AwsFakes> {
  const eventbridge = new FakeEventBridge({
    clock: systemClock,
    deliver: async ({ url, ...call }) => (await fetch(new URL(new URL(url).pathname, origin), call)).status,
  })
  const scheduler = new FakeScheduler({
    now: () => systemClock.now(),
    putEvents: (event) => void eventbridge.firing.events({ Entries: [{ ...event }] }),
  })
  const bus = eventbridge.requestHandler as Handler
  const server = createServer((request, response) => {
    const handler = 'x-amz-target' in request.headers ? bus : scheduler
    pass(handler as Handler, request, response).catch((error: unknown) => response.destroy(error as Error))
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { region, credentials } = eventbridge.access
  return {
    endpoint,
    env: {
      AWS_ENDPOINT_URL_EVENTBRIDGE: endpoint,
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    },
    eventbridge,
    scheduler,
    async stop() {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }
}

async function pass(handler: Handler, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const url = new URL(request.url ?? '/', 'http://aws')
  const answer = (await handler.handle({
    method: request.method ?? 'GET',
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    headers: request.headers,
    body: Buffer.concat(chunks),
  })) as HandlerAnswer
  const { statusCode, headers, body } = answer.response
  response.writeHead(statusCode, { ...headers })
  body.pipe(response)
}
