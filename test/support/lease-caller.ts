/** Calls of the lease wire over HTTP/1.1, with connections that are kept, as its clients make them. */
import { Agent as NodeAgent, request as nodeRequest } from 'node:http'
import { Agent, request, type Dispatcher } from 'undici'
import type { CallOutcome, LeaseCall } from './lease-load.ts'

/** Longer than any test waits for something else. */
const LIMIT_MS = 60_000

/** @param idleMs after which a connection that is not used is given up */
export function keepingConnections(idleMs: number): Dispatcher {
  return new Agent({ keepAliveTimeout: idleMs, keepAliveMaxTimeout: idleMs })
}

export async function callLease(
  origin: string,
  { provider, verb, body }: LeaseCall,
  dispatcher?: Dispatcher,
): Promise<CallOutcome> {
  try {
    const answer = await request(`${origin}/${provider}/${verb}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(LIMIT_MS),
      ...(dispatcher === undefined ? {} : { dispatcher }),
    })
    const contentType = String(answer.headers['content-type'])
    return { status: answer.statusCode, contentType, text: await answer.body.text() }
  } catch (error) {
    const { code, name } = error as { readonly code?: string; readonly name: string }
    return { failure: code ?? name }
  }
}

/** What became of a call whose server had said that it has it. */
export const UNANSWERED = 'accepted, and not answered'

/**
 * Sends the head first and the body when the server says that it has it (`100 Continue`): so it is known of each call without
 * an answer whether the server had accepted it.
 *
 * @param slowMs for at most this long the body is held back, so that many calls are under way at any moment
 */
export function carefulCaller(
  origin: string,
  slowMs: number,
): {
  readonly call: (call: LeaseCall) => Promise<CallOutcome>
  readonly close: () => void
} {
  const agent = new NodeAgent({ keepAlive: true })
  const call = ({ provider, verb, body }: LeaseCall): Promise<CallOutcome> =>
    new Promise((done) => {
      const text = JSON.stringify(body)
      let accepted = false
      const failed = (error: NodeJS.ErrnoException): void =>
        done({ failure: accepted ? UNANSWERED : (error.code ?? error.name) })
      const sending = nodeRequest(`${origin}/${provider}/${verb}`, {
        method: 'POST',
        agent,
        timeout: LIMIT_MS,
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(text),
          expect: '100-continue',
        },
      })
      sending.on('continue', () => {
        accepted = true
        setTimeout(() => sending.end(text), slowMs * Math.random())
      })
      sending.on('timeout', () => sending.destroy(new Error('no answer')))
      sending.on('error', failed)
      sending.on('response', (response) => {
        let received = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => (received += chunk))
        response.on('error', failed)
        response.on('end', () => {
          const { statusCode = 0, headers } = response
          done({ status: statusCode, contentType: String(headers['content-type']), text: received })
        })
      })
      sending.flushHeaders()
    })
  return { call, close: () => agent.destroy() }
}
