/**
 * `/healthz` (the process lives), `/readyz` (it takes work) and `/metrics`, for whoever watches over the server; `/k8s/liveness`
 * and `/k8s/readiness` are the first two as the merge-queue lease service has them.
 *
 * The first two answer the text `OK`, and what the server says of itself to who asks for JSON. A server that takes no work
 * answers 500 with JSON on both readiness paths.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Registry } from 'prom-client'
import { type Clock, sleep } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'

/** Where the server stands; `serve.ts` moves it. */
export interface Lifecycle {
  /** `draining`: takes work still, and asks for no more of it. */
  state: 'starting' | 'ready' | 'draining' | 'stopping'
}

/** Are calls served? */
export function takesCalls({ state }: Lifecycle): boolean {
  return state === 'ready' || state === 'draining'
}

/** Should clients and load balancers go elsewhere from now on? */
export function isLeaving({ state }: Lifecycle): boolean {
  return state === 'draining' || state === 'stopping'
}

interface HealthOptions {
  readonly version: string
  readonly lifecycle: Lifecycle
  readonly checkStore: () => Promise<unknown>
  readonly registry: Registry
  /** Text of further metrics, of other names. */
  readonly moreMetrics?: (() => Promise<string>) | undefined
  readonly clock: Clock
  readonly config: { readonly metrics: { readonly enabled: boolean } }
}

/** A store that does not answer a single read within this time is not ready. */
const STORE_PATIENCE_MS = 2_000

export function addHealthRoutes(app: FastifyInstance, options: HealthOptions): void {
  const hidden = { schema: { hide: true } }
  const { version, lifecycle } = options

  const alive = (request: FastifyRequest): unknown =>
    wantsJson(request) ? { status: 'ok', name: 'signalbox', version } : 'OK'
  const ready = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    try {
      if (lifecycle.state !== 'ready') throw notReady(lifecycle)
      await withPatience(options.clock, options.checkStore())
      return wantsJson(request) ? { status: 'ready' } : 'OK'
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      return reply.code(500).send({ error: 'not ready', error_context: why })
    }
  }
  for (const url of ['/healthz', '/k8s/liveness']) app.get(url, hidden, alive)
  for (const url of ['/readyz', '/k8s/readiness']) app.get(url, hidden, ready)

  if (options.config.metrics.enabled) {
    app.get('/metrics', hidden, async (_request, reply) => {
      void reply.type(options.registry.contentType)
      const more = (await options.moreMetrics?.()) ?? ''
      return `${await options.registry.metrics()}${more}`
    })
  }
}

function wantsJson({ headers }: FastifyRequest): boolean {
  return headers.accept?.includes('application/json') === true
}

/** The refusal of a server that is starting or stopping. */
export function notReady(lifecycle: Lifecycle): SignalboxError {
  return new SignalboxError('unavailable', `the server is ${lifecycle.state}; repeat the call`)
}

async function withPatience(clock: Clock, read: Promise<unknown>): Promise<void> {
  const giveUp = new AbortController()
  const patience = sleep(clock, STORE_PATIENCE_MS, giveUp.signal).then(
    () => new SignalboxError('unavailable', `the store did not answer within ${STORE_PATIENCE_MS} ms`),
    () => undefined,
  )
  const failure = await Promise.race([read.then(() => undefined, storeFailure), patience])
  giveUp.abort()
  if (failure !== undefined) throw failure
}

function storeFailure(cause: unknown): SignalboxError {
  const message = cause instanceof Error ? cause.message : String(cause)
  return new SignalboxError('unavailable', `the store does not work: ${message}`, { cause })
}
