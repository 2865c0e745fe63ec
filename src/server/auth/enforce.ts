/**
 * Access on HTTP, enforced in one place: every route says what it demands (`config: { access }`), and no handler runs
 * before that holds.
 *
 * Invariants: a route that says nothing and is not one of the few open ones ends the start (deny by default); a call is
 * judged before its body is read; what is judged is the decoded path parameter, so a parameter's schema may check it but
 * must not change it. An event stream ends within seconds of its token.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Access, Principal } from '../../ports/access.ts'
import { asksForStream } from '../open-streams.ts'
import { authorize, bearerOf, type Auth } from './auth.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Who calls. Set on every route that declares `access`. */
    principal: Principal
  }
  interface FastifyContextConfig {
    /** What the route demands; required of all but the open ones (`enforce.ts`). */
    access?: Access
    /** Which queue or provider a call concerns, where no single path parameter says it. */
    resource?: (request: FastifyRequest) => string
    /** Whoever asks for a page (`Accept: text/html`) passes: the handler leads people to the console. */
    openToPages?: boolean
    /** Set on a route that stands behind all others and takes what they leave: what it is called in metrics. */
    fallback?: string
  }
}

/**
 * What answers everybody: health, the API's description, and the console's files, which hold no data; and what asks for a key of
 * its own (schedules/http-trigger.ts).
 */
const OPEN =
  /^\/(?:healthz|readyz|k8s\/liveness|k8s\/readiness|metrics|openapi\.json|docs(?:\/\*)?|api\/v1\/triggers\/eventbridge|console(?:\/[\w.-]*)?)?$/

export interface GuardedRoute {
  readonly method: string
  /** The pattern: `/api/v1/turns/:queue`. */
  readonly url: string
  readonly access: Access
}

/**
 * Call it before routes are added.
 * @param isLocal did the request come through the owner's socket?
 * @returns the guarded routes, which fill up as routes are added
 */
export function enforceAccess(
  app: FastifyInstance,
  auth: Auth,
  isLocal: (request: IncomingMessage) => boolean,
): readonly GuardedRoute[] {
  const guarded: GuardedRoute[] = []
  app.decorateRequest('principal')
  app.addHook('onRoute', ({ method, url, config }) => {
    const access = config?.access
    checkDeclaration(`${[method].flat().join()} ${url}`, url, access)
    if (access !== undefined) for (const one of [method].flat()) guarded.push({ method: one, url, access })
  })
  app.addHook('onRequest', async (request, reply) => {
    const { access, resource, openToPages } = request.routeOptions.config
    if (access === undefined) return // open, or no route at all
    const { accept, authorization } = request.headers
    if (openToPages === true && accept?.includes('text/html') === true) return
    const user = auth.basicUser?.(authorization)
    const bearer = user === undefined ? bearerOf(authorization) : undefined
    const principal = user ?? (await auth.authenticate(bearer, isLocal(request.raw)))
    request.principal = principal
    authorize(principal, access, resource?.(request) ?? resourceOf(request, access))
    if (bearer !== undefined && asksForStream(request.raw)) endWithToken(auth, bearer, reply)
  })
  return guarded
}

/** A declaration that cannot be enforced is a defect of the program and ends its start. */
function checkDeclaration(route: string, url: string, access: Access | undefined): void {
  if (access === undefined) {
    if (!OPEN.test(url))
      throw new TypeError(`${route} declares no access; add config: { access: { role, noun } }`)
  } else if (access.param !== undefined && !url.split('/').includes(`:${access.param}`)) {
    throw new TypeError(`${route} declares access by '${access.param}', which its path does not have`)
  }
}

function resourceOf({ params }: FastifyRequest, { param }: Access): string | undefined {
  if (param === undefined) return undefined
  const value = (params as Readonly<Record<string, unknown>>)[param]
  return typeof value === 'string' ? value : undefined
}

/** A client that does not even read the end of its stream is cut off at the next look. */
function endWithToken(auth: Auth, bearer: string, { raw }: FastifyReply): void {
  if (raw.closed) return
  const stop = auth.whileValid(bearer, () => {
    if (raw.writableEnded) raw.destroy()
    else if (raw.headersSent) raw.end()
  })
  raw.once('close', stop)
}
