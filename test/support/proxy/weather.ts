/**
 * Bad weather between clients and DynamoDB: an HTTP proxy that fails a share of the requests in the ways the service and
 * the network do, and counts them. It also refuses signatures of a wrong time, as the service does and emulators do not.
 *
 * Half of the failures come before the request has any effect, half after it: then its answer is lost.
 */
import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import type { Random } from '../../../src/kernel/id.ts'

export interface WeatherOptions {
  /** `host:port` of the engine. */
  readonly target: string
  readonly random: Random
  /** Probability that a request fails; default 0. */
  readonly share?: number
  /** Refuse requests signed by a clock that is off by more than this; default: none. AWS: 5 minutes. */
  readonly skewMs?: number
}

export interface Weather {
  /** `host:port` to connect to. */
  readonly host: string
  /** Requests by operation. */
  readonly requests: ReadonlyMap<string, number>
  /** What was done to them, by kind. */
  readonly failures: ReadonlyMap<string, number>
  readonly close: () => Promise<void>
}

type Failure = 'throttled' | 'refused' | 'cut' | 'broken' | 'lost'

/** Before the effect the first three, after it the last two. */
const BEFORE: readonly Failure[] = ['throttled', 'refused', 'cut']
const AFTER: readonly Failure[] = ['broken', 'lost']
const DELAY = { share: 0.1, maxMs: 500 }

export async function startWeather(options: WeatherOptions): Promise<Weather> {
  const { random, share = 0, skewMs = Infinity } = options
  const [host, port] = options.target.split(':')
  const agent = new Agent({ keepAlive: true })
  const requests = new Map<string, number>()
  const failures = new Map<string, number>()

  const note = (counts: Map<string, number>, what: string): void => {
    counts.set(what, (counts.get(what) ?? 0) + 1)
  }
  const draw = (): Failure | undefined => {
    if (random.next() >= share) return undefined
    const kinds = random.next() < 0.5 ? BEFORE : AFTER
    return kinds[Math.floor(random.next() * kinds.length)]
  }
  const forward = async (incoming: IncomingMessage, body: Buffer): Promise<[IncomingMessage, Buffer]> => {
    const { method, url: path, headers } = incoming
    const answer = await new Promise<IncomingMessage>((done, failed) => {
      request({ host, port, agent, method, path, headers }, done).on('error', failed).end(body)
    })
    return [answer, await buffer(answer)]
  }
  const serve = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const body = await buffer(incoming)
    note(requests, operationOf(incoming))
    if (skewOf(incoming) > skewMs) {
      note(failures, 'skewed')
      fail(
        outgoing,
        400,
        'com.amazon.coral.service#InvalidSignatureException',
        'Signature expired: the time is wrong',
      )
      return
    }
    if (share > 0 && random.next() < DELAY.share) await pause(random.next() * DELAY.maxMs)
    const failure = draw()
    if (failure !== undefined) note(failures, failure)
    if (failure === 'throttled') fail(outgoing, 400, `${NAMESPACE}#ThrottlingException`, 'Rate exceeded')
    else if (failure === 'refused')
      fail(outgoing, 500, `${NAMESPACE}#InternalServerError`, 'injected, not applied')
    else if (failure === 'cut') outgoing.destroy()
    else {
      const [answer, text] = await forward(incoming, body)
      if (failure === 'broken') fail(outgoing, 500, `${NAMESPACE}#InternalServerError`, 'injected, applied')
      else if (failure === 'lost') outgoing.destroy()
      else outgoing.writeHead(answer.statusCode ?? 500, answer.headers).end(text)
    }
  }
  const server = createServer((incoming, outgoing) => {
    serve(incoming, outgoing).catch(() => outgoing.destroy())
  })
  await new Promise<void>((done, failed) => {
    server.on('error', failed)
    server.listen(0, '127.0.0.1', done)
  })
  const address = server.address()
  return {
    host: `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`,
    requests,
    failures,
    close: async () => {
      const closed = new Promise<void>((done) => server.close(() => done()))
      server.closeAllConnections()
      agent.destroy()
      await closed
    },
  }
}

const NAMESPACE = 'com.amazonaws.dynamodb.v20120810'

/** As the service answers: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html */
function fail(outgoing: ServerResponse, status: number, type: string, message: string): void {
  outgoing
    .writeHead(status, { 'content-type': 'application/x-amz-json-1.0' })
    .end(JSON.stringify({ __type: type, message }))
}

function operationOf({ headers }: IncomingMessage): string {
  return String(headers['x-amz-target'] ?? 'none').replace(/^.*\./, '')
}

/** How far the clock that signed is off, in milliseconds. */
function skewOf({ headers }: IncomingMessage): number {
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(String(headers['x-amz-date'])) ?? []
  const [year = 0, month = 1, day, hours, minutes, seconds] = parts.map(Number)
  return Math.abs(Date.UTC(year, month - 1, day, hours, minutes, seconds) - Date.now())
}

function pause(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms))
}
