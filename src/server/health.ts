/**
 * `/healthz` (the process lives), `/readyz` (it takes work) and `/metrics`, for whoever watches over the server; `/k8s/liveness`
 * and `/k8s/readiness` are the first two as the merge-queue lease service has them.
 */
import type { FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'
import { type Clock, sleep } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'

/** Where the server stands; `serve.ts` moves it. */
export interface Lifecycle {
  state: 'starting' | 'ready' | 'stopping'
}

interface HealthOptions {
  readonly version: string
  readonly lifecycle: Lifecycle
  readonly checkStore: () => Promise<unknown>
  readonly registry: Registry
  readonly clock: Clock
  readonly config: { readonly metrics: { readonly enabled: boolean } }
}

/** A store that does not answer a single read within this time is not ready. */
const STORE_PATIENCE_MS = 2_000

export function addHealthRoutes(app: FastifyInstance, options: HealthOptions): void {
  const hidden = { schema: { hide: true } }

  app.get('/healthz', hidden, () => ({ status: 'ok', name: 'signalbox', version: options.version }))

  app.get('/readyz', hidden, async () => {
    if (options.lifecycle.state !== 'ready') throw notReady(options.lifecycle)
    await withPatience(options.clock, options.checkStore())
    return { status: 'ready' }
  })

  app.get('/k8s/liveness', hidden, () => 'OK')

  app.get('/k8s/readiness', hidden, async (_request, reply) => {
    try {
      if (options.lifecycle.state !== 'ready') throw notReady(options.lifecycle)
      await withPatience(options.clock, options.checkStore())
      return 'OK'
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      return reply.code(500).send({ error: 'not ready', error_context: why })
    }
  })

  if (options.config.metrics.enabled) {
    app.get('/metrics', hidden, async (_request, reply) => {
      void reply.type(options.registry.contentType)
      return options.registry.metrics()
    })
  }
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
