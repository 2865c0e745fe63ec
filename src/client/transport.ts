/**
 * One HTTP call: JSON in, a checked value out, every failure a `SignalboxError`.
 *
 * Invariants:
 * - a call ends: with its value, with an error, or `SLACK_MS` after the time it may wait;
 * - it is never repeated here; who calls knows whether to (all calls of Signalbox may be repeated);
 * - the time limit covers the whole call, connection and body included, and is the clock's, not the HTTP library's.
 */
import { Agent } from 'undici'
import type { z } from 'zod'
import type { Clock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
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

export interface TransportOptions {
  /** `http://` or `https://`, with or without a path before `/api`. */
  readonly url: URL
  /** A Unix socket to connect to instead of the URL's host. */
  readonly socketPath?: string
  readonly token?: string
  readonly clock: Clock
  readonly random: Random
}

export interface Call<T> {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** From `/api` on, with the query. */
  readonly path: string
  readonly body?: object
  readonly answer: z.ZodType<T>
  /** How long the server was asked to wait before it answers. */
  readonly waitMs?: number
  readonly signal?: AbortSignal | undefined
}

export class Transport {
  readonly address: string
  readonly #agent: Agent
  readonly #options: TransportOptions
  readonly #prefix: string
  readonly #headers: Readonly<Record<string, string>>

  constructor(options: TransportOptions) {
    const { url, socketPath, token } = options
    this.#options = options
    this.address = socketPath ?? url.href.replace(/\/$/, '')
    this.#prefix = url.pathname.replace(/\/$/, '')
    this.#headers = {
      accept: 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    }
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
    const facts: CallFacts = { address: this.address, write: call.method !== 'GET' }
    const { status, text } = await this.#exchange(call, facts)
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

  /** Ends idle and running connections. */
  close(): Promise<void> {
    return this.#agent.destroy()
  }

  async #exchange(call: Call<unknown>, facts: CallFacts): Promise<{ status: number; text: string }> {
    const { clock, random, url } = this.#options
    const { signal } = call
    if (signal?.aborted === true) throw cancelledCall(signal.reason, facts)
    const limitMs = (call.waitMs ?? 0) + SLACK_MS
    const hangUp = new AbortController()
    let failure: SignalboxError | undefined
    const end = (because: SignalboxError): void => {
      failure ??= because
      hangUp.abort(because)
    }
    const onAbort = (): void => end(cancelledCall(signal?.reason, facts))
    signal?.addEventListener('abort', onAbort, { once: true })
    const timer = clock.timer(limitMs, () => end(timeoutFailure(limitMs, facts)))
    try {
      const response = await this.#agent.request({
        origin: url.origin,
        path: this.#prefix + call.path,
        method: call.method,
        headers: {
          ...this.#headers,
          'x-request-id': random.id(),
          ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        body: call.body === undefined ? null : JSON.stringify(call.body),
        signal: hangUp.signal,
      })
      return { status: response.statusCode, text: await response.body.text() }
    } catch (error) {
      throw failure ?? transportFailure(error, facts)
    } finally {
      timer.cancel()
      signal?.removeEventListener('abort', onAbort)
    }
  }
}
