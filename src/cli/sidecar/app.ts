/** The message capability's HTTP face alone, as the server offers it, for the callers of one machine or pod. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import fastify from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import type { Desk } from '../../messages/desk.ts'
import { messagesFace } from '../../messages/http.ts'
import type { Principal } from '../../ports/access.ts'
import { browserGuard } from '../../server/browser-guard.ts'
import type { Config } from '../../server/config/schema.ts'
import { problemSender } from '../../server/errors.ts'
import type { Lifecycle } from '../../server/health.ts'
import type { Logger } from '../../server/logger.ts'
import { requestIds } from '../../server/request-id.ts'
import { setDataHeaders } from '../../server/security-headers.ts'
import { validatorCompiler } from '../../server/validation.ts'

/** A batch of 1 MiB, escaped at its worst. */
const BODY_LIMIT = 4 * 1024 * 1024
/** Whoever reaches a sidecar may use it. */
const anyone: Principal = { name: 'local', kind: 'local', role: 'operator', scopes: [] }

export interface SidecarAppOptions {
  readonly desk: Desk
  readonly logger: Logger
  readonly random: Random
  /** Where it listens: on loopback, pages of other sites are kept out by their name for it too. */
  readonly host: string
  /** What is said of paths that are not here. */
  readonly missing?: string
}

export async function sidecarApp({
  desk,
  logger,
  random,
  host,
  missing = 'see docs/messages.md',
}: SidecarAppOptions): Promise<(request: IncomingMessage, response: ServerResponse) => void> {
  const lifecycle: Lifecycle = { state: 'ready' }
  const app = fastify({
    genReqId: requestIds(random),
    bodyLimit: BODY_LIMIT,
    schemaController: {
      compilersFactory: {
        buildValidator: () => validatorCompiler as never, // typed for ajv only
        buildSerializer: () => () => JSON.stringify,
      },
    },
  }).withTypeProvider<ZodTypeProvider>()
  app.removeContentTypeParser('text/plain') // a form of another site can send it without asking first
  const sendProblem = problemSender({ logger, lifecycle, basicUsers: false })
  app.setErrorHandler(sendProblem)
  app.setNotFoundHandler((request, reply) => {
    const what = `there is no ${request.method} ${request.url.split('?', 1)[0]} here; ${missing}`
    sendProblem(new SignalboxError('not_found', what), request, reply)
  })
  const guard = browserGuard({ host, publicUrl: undefined } as Config['server'])
  app.decorateRequest('principal')
  app.addHook('onRequest', (request, reply, done) => {
    request.principal = anyone
    setDataHeaders(reply.raw)
    done(guard(request.raw))
  })
  await app.register(messagesFace({ desk }))
  await app.ready()
  return (request, response) => app.routing(request, response)
}
