/**
 * One HTTP call: JSON in, a checked value out, every failure a `SignalboxError`.
 *
 * Invariants:
 * - a call ends: with its value, with an error, or `SLACK_MS` after the time it may wait;
 * - it is never repeated here; who calls knows whether to (all calls of Signalbox may be repeated). The one exception: a
 *   call that was refused with 401, so not applied, is sent again with a renewed token, once, if there is a source of them;
 * - the time limit covers the whole call, connection and body included, and is the clock's, not the HTTP library's.
 */
import { Agent } from 'undici'
import type { z } from 'zod'
import type { Clock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import { authorizationOf, type Credential } from './credential.ts'
import {
  cancelledCall,
  foreignAnswer,
  parseJson,
  refusal,
  timeoutFailure,
  transportFailure,
  type CallFacts,
} from './failure.ts'

/** What an answer may take beyond the time that the call itself asks the server to wait. */
const SLACK_MS = 10_000
const CONNECT_TIMEOUT_MS = 4_000
const MAX_ANSWER_BYTES = 16 * 1024 * 1024

export type { TokenSource } from './credential.ts'

export interface TransportOptions extends Credential {
  /** `http://` or `https://`, with or without a path before `/api`. */
  readonly url: URL
  /** A Unix socket to connect to instead of the URL's host. */
  readonly socketPath?: string
  readonly clock: Clock
  readonly random: Random
}

export interface Exchange {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** From `/api` on (for leases, from the owner on), with the query. */
  readonly path: string
  readonly body?: object
  /** Further ones, such as `if-match`. */
  readonly headers?: Readonly<Record<string, string>>
  /** How long the server was asked to wait before it answers. */
  readonly waitMs?: number
  readonly signal?: AbortSignal | undefined
}

export interface Call<T> extends Exchange {
  readonly answer: z.ZodType<T>
}

/** What came back, whatever it is. */
export interface RawAnswer {
  readonly status: number
  readonly text: string
  /** `Retry-After` in seconds, as milliseconds; undefined when absent, or a date. */
  readonly retryAfterMs: number | undefined
}

export class Transport {
  readonly address: string
  readonly #agent: Agent
  readonly #options: TransportOptions
  readonly #prefix: string

  constructor(options: TransportOptions) {
    const { url, socketPath } = options
    this.#options = options
    this.address = socketPath ?? url.href.replace(/\/$/, '')
    this.#prefix = url.pathname.replace(/\/$/, '')
    this.#agent = new Agent({
      connect: {
        timeout: CONNECT_TIMEOUT_MS,
        ...(socketPath === undefined ? {} : { socketPath }),
      },
      // Long polls are meant to be silent; the clock below limits each call instead.
      headersTimeout: 0,
      bodyTimeout: 0,
      maxResponseSize: MAX_ANSWER_BYTES,
    })
  }

  /** @throws SignalboxError the server's own, or `unavailable`, `outcome_unknown`, `cancelled`, `internal` */
  async call<T>(call: Call<T>): Promise<T> {
    const facts = this.facts(call)
    const { status, text } = await this.exchange(call)
    if (status < 200 || status > 299) throw refusal(status, text, facts)
    const json = parseJson(text)
    if (json === undefined) throw foreignAnswer(status, facts)
    const parsed = call.answer.safeParse(json)
    if (parsed.success) return parsed.data
    const at = parsed.error.issues[0]
    throw new SignalboxError(
      'internal',
      `${this.address}: answered in a shape this version does not know (${at?.path.join('.')}: ${at?.message}); use the same version on both sides`,
    )
  }

  /** What messages about this call say. */
  facts({ method }: Exchange): CallFacts {
    return { address: this.address, write: method !== 'GET' }
  }

  /**
   * For answers in another form than the API's: whatever the server says, refusals included.
   * @throws SignalboxError `unavailable`, `outcome_unknown`, `cancelled`, what the source of tokens throws
   */
  async exchange(call: Exchange): Promise<RawAnswer> {
    const { clock } = this.#options
    const facts = this.facts(call)
    const { signal } = call
    if (signal?.aborted === true) throw cancelledCall(signal.reason, facts)
    const limitMs = (call.waitMs ?? 0) + SLACK_MS
    const hangUp = new AbortController()
    const end = (because: SignalboxError): void => hangUp.abort(because)
    const onAbort = (): void => end(cancelledCall(signal?.reason, facts))
    signal?.addEventListener('abort', onAbort, { once: true })
    const timer = clock.timer(limitMs, () => end(timeoutFailure(limitMs, facts)))
    try {
      const answer = await this.#send(call, hangUp.signal, false)
      const renewable = typeof this.#options.token === 'function'
      return answer.status === 401 && renewable ? await this.#send(call, hangUp.signal, true) : answer
    } finally {
      timer.cancel()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** Ends idle and running connections. */
  close(): Promise<void> {
    return this.#agent.destroy()
  }

  async #send(call: Exchange, hangUp: AbortSignal, renew: boolean): Promise<RawAnswer> {
    const { random, url } = this.#options
    const authorization = await authorizationOf(this.#options, renew, hangUp)
    try {
      const response = await this.#agent.request({
        origin: url.origin,
        path: this.#prefix + call.path,
        method: call.method,
        headers: {
          accept: 'application/json',
          ...(authorization === undefined ? {} : { authorization }),
          'x-request-id': random.id(),
          ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...call.headers,
        },
        body: call.body === undefined ? null : JSON.stringify(call.body),
        signal: hangUp,
      })
      const retryAfterMs = secondsOf(response.headers['retry-after'])
      return { status: response.statusCode, text: await response.body.text(), retryAfterMs }
    } catch (error) {
      throw hangUp.aborted ? hangUp.reason : transportFailure(error, this.facts(call))
    }
  }
}

function secondsOf(header: string | string[] | undefined): number | undefined {
  return typeof header === 'string' && /^\d{1,9}$/.test(header) ? Number(header) * 1_000 : undefined
}
