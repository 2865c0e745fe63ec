/**
 * The voting service over HTTP: the reference's calls, OpenAPI made from the code with a page to try it (`/docs`), live results, and
 * a page to vote. Everything it needs is handed in; it listens nowhere.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import cors from '@fastify/cors'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type RawServerDefault,
} from 'fastify'
import {
  jsonSchemaTransform,
  jsonSchemaTransformObject,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod'
import type { Clock } from '../../kernel/clock.ts'
import { toSignalboxError } from '../../kernel/error.ts'
import type { LiveResults } from '../live.ts'
import type { VotingService } from '../service.ts'
import { sendError, validatorCompiler, type ErrorLog } from './errors.ts'
import { headersFor } from './headers.ts'
import { pageRoutes } from './page.ts'
import { topicRoutes } from './topics.ts'
import { voteRoutes } from './votes.ts'

export interface VotingAppOptions extends ErrorLog {
  readonly voting: VotingService
  readonly live: LiveResults
  readonly clock: Clock
  readonly version: string
  /** Of those who write topics. Undefined: everybody may. */
  readonly apiKey: string | undefined
  /** Other sites whose pages may call: `https://game.example`, or `*`. */
  readonly origins: readonly string[]
  /** Is it ready to serve? @throws when not */
  readonly healthy: () => Promise<void>
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>
  /** Makes the observer of one route, called when its answer has been sent. */
  readonly observe?: (method: string, route: string) => (request: FastifyRequest, reply: FastifyReply) => void
}

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  ZodTypeProvider
>

/** A topic with as many and as long choices as there may be, escaped at its worst, is smaller. */
const BODY_LIMIT = 256 * 1024

/** @example const app = await votingApp({ … }); await app.inject('/topics') */
export async function votingApp(options: VotingAppOptions): Promise<App> {
  const app = fastify({
    bodyLimit: BODY_LIMIT,
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    routerOptions: { ignoreTrailingSlash: true },
    schemaController: {
      compilersFactory: {
        buildValidator: () => validatorCompiler as never, // typed for ajv only
        buildSerializer: () => () => JSON.stringify,
      },
    },
  }).withTypeProvider<ZodTypeProvider>()
  app.removeContentTypeParser('text/plain') // a form of another site can send it without asking first
  app.setErrorHandler(sendError(options))
  app.setNotFoundHandler((_request, reply) => reply.code(404).send({ detail: 'Not found' }))
  app.addHook('onRequest', (request, reply, done) => {
    void reply.headers(headersFor(request.url.split('?', 1)[0] ?? '/'))
    done()
  })
  observed(app, options)
  await app.register(cors, {
    origin: options.origins.includes('*') ? '*' : [...options.origins],
    methods: ['GET', 'POST', 'PUT'],
    allowedHeaders: ['content-type', 'authorization', 'x-api-key', 'idempotency-key'],
    exposedHeaders: ['link', 'x-next-cursor'],
    maxAge: 600,
  })
  await app.register(swagger, {
    openapi: document(options.version),
    transform: jsonSchemaTransform,
    transformObject: jsonSchemaTransformObject,
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    theme: { title: 'Voting API' },
    uiConfig: { deepLinking: true, displayRequestDuration: true },
  })
  // Within a plug-in, so that what describes routes sees them.
  await app.register(async (scope) => {
    const routes: App = scope.withTypeProvider<ZodTypeProvider>()
    topicRoutes(routes, options)
    voteRoutes(routes, options)
    pageRoutes(scope)
    operatingRoutes(routes, options)
  })
  await app.ready()
  return app
}

function document(version: string) {
  return {
    openapi: '3.1.0' as const,
    info: {
      title: 'Signalbox voting',
      version,
      description: 'Topics, votes that count once, and live results. Times are UTC without a zone.',
    },
    servers: [{ url: '/' }],
    components: {
      securitySchemes: {
        apiKey: { type: 'apiKey' as const, in: 'header' as const, name: 'X-API-Key' },
        bearer: { type: 'http' as const, scheme: 'bearer' },
      },
    },
  }
}

function observed(app: App, { observe }: VotingAppOptions): void {
  if (observe === undefined) return
  app.addHook('onRoute', (route) => {
    const method = String(route.method)
    const tell = observe(method, route.url)
    const before = route.onResponse ?? []
    route.onResponse = [
      ...(Array.isArray(before) ? before : [before]),
      (request, reply, done) => {
        tell(request, reply)
        done()
      },
    ]
  })
}

function operatingRoutes(app: App, { healthy, metrics, onFailure }: VotingAppOptions): void {
  app.get('/openapi.json', { schema: { hide: true } }, () => app.swagger())
  // The image asks at /readyz, as it asks every command that serves.
  for (const url of ['/healthz', '/readyz']) {
    app.get(url, { schema: { hide: true } }, async (request, reply) => {
      try {
        await healthy()
        return { status: 'ok' }
      } catch (error) {
        onFailure(toSignalboxError(error), request)
        return reply.code(503).send({ status: 'unavailable' })
      }
    })
  }
  app.get('/metrics', { schema: { hide: true } }, async (_request, reply) => {
    const { contentType, text } = await metrics()
    return reply.header('content-type', contentType).send(text)
  })
}
