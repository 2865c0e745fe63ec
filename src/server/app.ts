/**
 * The HTTP application: what every capability's routes stand on. It knows no capability; each brings its routes as one
 * `RouteFace`.
 *
 * A request passes: browser guard → who calls, and may they? → ready? → zod validation → handler → plain `JSON.stringify`. Response schemas only
 * feed the OpenAPI document; answers are not parsed again. Everything that is the same for each request is prepared
 * once, and no per-request log line is built unless the level is `debug`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import fastify, {
  LogController,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyRequest,
  type RawServerDefault,
} from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import type { Registry } from 'prom-client'
import type { Clock } from '../kernel/clock.ts'
import type { Random } from '../kernel/id.ts'
import type { Auth } from './auth/auth.ts'
import { enforceAccess, type GuardedRoute } from './auth/enforce.ts'
import { browserGuard } from './browser-guard.ts'
import { answerClientError } from './client-error.ts'
import type { Config } from './config/schema.ts'
import { addConsoleRoutes } from './console/routes.ts'
import { addApiDocs } from './docs.ts'
import { problemSender } from './errors.ts'
import { addHealthRoutes, isLeaving, notReady, takesCalls, type Lifecycle } from './health.ts'
import { httpMetrics, type RequestObserver } from './http-metrics.ts'
import type { Logger } from './logger.ts'
import { KnownPaths, notFound } from './not-found.ts'
import type { OpenStreams } from './open-streams.ts'
import { requestIds } from './request-id.ts'
import { setDataHeaders } from './security-headers.ts'
import { validatorCompiler } from './validation.ts'

/** A fastify instance whose schemas are zod's. */
export type SignalboxApp = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>

/** The routes of one capability. */
export type RouteFace = (app: SignalboxApp) => void | Promise<void>

export interface AppOptions {
  readonly config: Pick<Config, 'server' | 'metrics'>
  readonly version: string
  readonly lifecycle: Lifecycle
  /** One cheap read of the store; rejects when the store does not work. */
  readonly checkStore: () => Promise<unknown>
  readonly faces: readonly RouteFace[]
  readonly logger: Logger
  readonly registry: Registry
  /** Text of metrics that other processes have; of other names. */
  readonly moreMetrics?: (() => Promise<string>) | undefined
  readonly clock: Clock
  readonly random: Random
  /** Keeps account of answers that never end by themselves. */
  readonly streams: OpenStreams
  /** Says who calls. */
  readonly auth: Auth
  /** A face answers `/`. Default: the console does. */
  readonly ownRoot?: boolean
  /** Did this request come through the owner's socket, whose callers need neither guarding nor a token? Default: none does. */
  readonly trusted?: (request: IncomingMessage) => boolean
}

/** The longest path Node accepts is bounded by its 16 KiB of headers; so validation, not routing, judges names. */
const MAX_PARAM_LENGTH = 16 * 1024

/** @returns the application, ready to be injected into or to be served by a listener (`app.routing`). */
export async function buildApp(
  options: AppOptions,
): Promise<SignalboxApp & { readonly guardedRoutes: readonly GuardedRoute[] }> {
  const { config, logger, lifecycle } = options
  const paths = new KnownPaths()
  const sendProblem = problemSender({
    logger,
    lifecycle,
    basicUsers: options.auth.basicUser !== undefined,
  })
  const app = fastify({
    bodyLimit: config.server.bodyLimitBytes,
    requestTimeout: config.server.requestTimeout.ms,
    genReqId: requestIds(options.random),
    logController: new BrokenAnswerLog(logger),
    return503OnClosing: false, // a request that made it here while closing gets our own 503
    // Given here, not by setValidatorCompiler, so that fastify does not load its own (100 modules); typed for ajv only.
    schemaController: {
      compilersFactory: {
        buildValidator: () => validatorCompiler as never,
        buildSerializer: () => () => JSON.stringify,
      },
    },
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    frameworkErrors: sendProblem,
    clientErrorHandler: answerClientError,
  }).withTypeProvider<ZodTypeProvider>()

  app.removeContentTypeParser('text/plain') // a form of another site can send it without asking first
  app.setErrorHandler(sendProblem)
  const observe = requestObserver(options)
  const observeUnmatched = observe?.('any', 'unmatched')
  app.setNotFoundHandler((request, reply) => {
    notFound(paths, request, reply)
    observeUnmatched?.(request, reply)
  })
  app.addHook('onRoute', (route) => {
    const fallback = route.config?.fallback // takes what no other route takes, so it says nothing about paths
    if (fallback === undefined) paths.add(route.method, route.url)
    const observer = observe?.([route.method].flat().join(), fallback ?? route.url)
    if (observer === undefined) return
    const others = [route.onResponse ?? []].flat()
    route.onResponse = [
      ...others,
      (request, reply, done) => {
        observer(request, reply)
        done()
      },
    ]
  })

  const guard = browserGuard(config.server)
  const trusted = options.trusted ?? (() => false)
  app.addHook('onRequest', (request, reply, done) => {
    reply.raw.setHeader('x-request-id', request.id)
    setDataHeaders(reply.raw)
    options.streams.note(request.raw, reply.raw)
    done(trusted(request.raw) ? undefined : guard(request.raw))
  })
  // The next call of this client goes elsewhere, instead of meeting a connection that is being closed.
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (isLeaving(lifecycle)) reply.raw.setHeader('connection', 'close')
    done(null, payload)
  })
  const guardedRoutes = enforceAccess(app, options.auth, trusted)
  addApiDocs(app, { version: options.version, publicUrl: config.server.publicUrl })
  addHealthRoutes(app, options)
  addConsoleRoutes(app, options.version, options.ownRoot === true)
  for (const face of options.faces) {
    await app.register(async (scope) => {
      scope.addHook('onRequest', (_request, _reply, done) => {
        done(takesCalls(lifecycle) ? undefined : notReady(lifecycle))
      })
      await face(scope.withTypeProvider<ZodTypeProvider>())
    })
  }
  await app.ready()
  return Object.assign(app, { guardedRoutes })
}

/** What follows each answer: counting it, and at level `debug` one line about it. Undefined when neither is wanted. */
function requestObserver(
  options: AppOptions,
): ((method: string, route: string) => RequestObserver) | undefined {
  const { logger } = options
  const metrics = options.config.metrics.enabled ? httpMetrics(options.registry) : undefined
  if (!logger.isLevelEnabled('debug')) return metrics
  return (method, route) => {
    const count = metrics?.(method, route)
    return (request, reply) => {
      count?.(request, reply)
      const facts = {
        requestId: request.id,
        method: request.method,
        url: request.url,
        status: reply.statusCode,
      }
      logger.debug({ ...facts, ms: Math.round(reply.elapsedTime * 1_000) / 1_000 }, 'request')
    }
  }
}

/** Fastify's own log lines: those about answers that broke halfway, into our log; no others. */
class BrokenAnswerLog extends LogController {
  readonly #logger: Logger

  constructor(logger: Logger) {
    super({ disableRequestLogging: true })
    this.#logger = logger
  }

  override streamError(error: Error & { code?: string }, request: FastifyRequest): void {
    if (error.code !== 'ERR_STREAM_PREMATURE_CLOSE') this.#warn(error, request)
  }

  override writeHeadError(error: Error, request: FastifyRequest): void {
    this.#warn(error, request)
  }

  override serializerError(error: Error, request: FastifyRequest): void {
    this.#warn(error, request)
  }

  #warn(err: Error, request: FastifyRequest): void {
    this.#logger.warn(
      { requestId: request.id, method: request.method, url: request.url, err },
      'broken answer',
    )
  }
}
