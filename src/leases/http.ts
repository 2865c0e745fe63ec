/**
 * The HTTP face of leases: the reference's routes, so that its clients need not change. Checks run in the order provider,
 * parse, validate, state. Bodies are read as JSON whatever their content type says, for the reference's own action sends
 * a bare `json`.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { nameFilter, type Access } from '../ports/access.ts'
import { providerId, providerLabel, type ProviderName } from './api.ts'
import { describedLeaseRoutes } from './http-docs.ts'
import { FALLBACK, targetOf } from './http-paths.ts'
import {
  leaseBody,
  parseAcquire,
  parseRelease,
  providerBody,
  refusalError,
  unknownProvider,
  type Verb,
  type WireError,
} from './http-wire.ts'
import type { LeasesService } from './service.ts'

export type App = FastifyInstance<any, any, any, any, ZodTypeProvider> // oxlint-disable-line typescript/no-explicit-any -- raw server types differ by listener

export type RouteName =
  | 'providers.list'
  | 'provider.acquire'
  | 'provider.release'
  | 'provider.show'
  | 'provider.clear'

/** Told of each request, for metrics. */
export interface RequestObserver {
  started(method: string): void
  ended(method: string, route: RouteName, status: number, seconds: number): void
}

export interface LeasesFaceOptions {
  readonly leases: LeasesService
  readonly observer?: RequestObserver
}

/** Scopes are matched with `resource`, of which the parameter is a part. */
const viewer: Access = { role: 'viewer', noun: 'leases', param: 'repo' }
const operator: Access = { role: 'operator', noun: 'leases', param: 'repo' }
/** Which provider a call concerns, as scopes of tokens name it: the one that the handler acts on. */
const resource = ({ raw, method }: FastifyRequest): string => {
  const { whole, call } = targetOf(raw.url ?? '/')
  return providerLabel(method === 'POST' ? (call?.provider ?? whole) : whole)
}
/** For metrics and for "which methods does this path take?": this route stands behind all others. */
const FALLBACK_NAME = '/:owner/:repo/*'

/** @example app.register(leasesFace({ leases })) */
export function leasesFace({ leases, observer }: LeasesFaceOptions): (app: App) => Promise<void> {
  return async (app) => {
    readBodiesAsText(app)
    answerInTheWiresForm(app)
    if (observer !== undefined) observe(app, observer)
    const hidden = { hide: true }
    app.route({
      method: 'GET',
      url: '/',
      config: {
        access: { role: 'viewer', noun: 'leases', filtered: true },
        openToPages: true,
        described: describedLeaseRoutes,
      },
      schema: hidden,
      handler: async (request, reply) => {
        if (request.headers.accept?.includes('text/html') === true) return reply.redirect('/console')
        const may = nameFilter(request.principal, 'leases')
        const views = (await leases.list()).filter(({ name }) => may(providerLabel(name)))
        return Object.fromEntries(views.map((view) => [providerId(view.name), providerBody(view)]))
      },
    })
    const route = (
      method: string | string[],
      access: Access,
      handler: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>,
    ): void => {
      app.route({
        method,
        url: FALLBACK,
        exposeHeadRoute: false,
        config: { access, resource, fallback: FALLBACK_NAME },
        schema: hidden,
        handler,
      })
    }
    route('POST', operator, (request, reply) => post(leases, request, reply))
    route(['GET', 'HEAD'], viewer, (request, reply) =>
      onProvider(leases, request, reply, (provider) => leases.show(provider)),
    )
    route('DELETE', operator, (request, reply) =>
      onProvider(leases, request, reply, (provider) =>
        leases.clear(provider, { by: request.principal.name }),
      ),
    )
    route(['PUT', 'PATCH', 'OPTIONS'], viewer, async ({ raw }, reply) => notAllowed(reply, raw.url ?? '/'))
  }
}

async function post(leases: LeasesService, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
  const url = request.raw.url ?? '/'
  const { call } = targetOf(url)
  if (call === undefined) return notAllowed(reply, url)
  const { provider, verb } = call
  if (!(await leases.has(provider, verb === 'acquire' ? 'acquire' : 'other'))) {
    return sendError(reply, unknownProvider)
  }
  const text = typeof request.body === 'string' ? request.body : ''
  const parsed = verb === 'acquire' ? parseAcquire(text) : parseRelease(text)
  if (parsed.request === undefined) return sendError(reply, parsed.problem as WireError) // one of the two is there
  const answer = await take(leases, provider, verb, parsed.request)
  if (answer.kind === 'refused') return sendError(reply, refusalError(verb, answer, parsed.request.sha))
  if (answer.retryAfterMs !== undefined) retryAfter(reply, answer.retryAfterMs)
  return leaseBody(answer)
}

function take(
  leases: LeasesService,
  provider: ProviderName,
  verb: Verb,
  request:
    | NonNullable<ReturnType<typeof parseAcquire>['request']>
    | NonNullable<ReturnType<typeof parseRelease>['request']>,
): ReturnType<LeasesService['acquire']> {
  return 'success' in request && verb === 'release'
    ? leases.release(provider, request)
    : leases.acquire(provider, request)
}

/** A base ref may end like a verb; a provider that is there goes before a call with the wrong method. */
async function onProvider(
  leases: LeasesService,
  { raw }: FastifyRequest,
  reply: FastifyReply,
  act: (provider: ProviderName) => ReturnType<LeasesService['show']>,
): Promise<unknown> {
  const { whole, call } = targetOf(raw.url ?? '/')
  if (await leases.has(whole, 'other')) return providerBody(await act(whole))
  return call === undefined ? sendError(reply, unknownProvider) : notAllowed(reply, raw.url ?? '/')
}

function notAllowed(reply: FastifyReply, url: string): FastifyReply {
  const allow = targetOf(url).call === undefined ? 'DELETE, GET, HEAD' : 'POST'
  void reply.header('allow', allow)
  return sendError(reply, { status: 405, error: 'method not allowed', context: `this path takes ${allow}` })
}

function sendError(reply: FastifyReply, problem: WireError & { readonly reason?: string }): FastifyReply {
  const { status, error, context, retryAfterMs, reason } = problem
  if (retryAfterMs !== undefined) retryAfter(reply, retryAfterMs)
  return reply.code(status).send({
    error,
    ...(context === undefined ? {} : { error_context: context }),
    ...(reason === undefined ? {} : { reason }),
    ...(retryAfterMs === undefined ? {} : { retry_after: Math.ceil(retryAfterMs / 1_000) }),
  })
}

function retryAfter(reply: FastifyReply, ms: number): void {
  void reply.header('retry-after', String(Math.ceil(ms / 1_000)))
}

function readBodiesAsText(app: App): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    done(null, body)
  })
  app.addHook('onRequest', (request, _reply, done) => {
    request.raw.headers['content-type'] = 'application/json'
    done()
  })
}

/** What other parts of the server refuse (sign-in, size, a store that fails) comes in the wire's form too, still with its code. */
function answerInTheWiresForm(app: App): void {
  app.addHook('onSend', async (_request, reply, payload) => {
    if (reply.statusCode < 400 || typeof payload !== 'string') return payload
    if (!payload.startsWith('{"error":{"code":')) return payload
    // Existing clients know that a 503 may be repeated, not that a 429 may.
    if (reply.statusCode === 429) void reply.code(503)
    const { error, requestId } = JSON.parse(payload) as {
      error: { code: string; message: string }
      requestId: string
    }
    return JSON.stringify({ error: error.message, error_context: error.code, requestId })
  })
}

function observe(app: App, observer: RequestObserver): void {
  const seen = new WeakSet<FastifyRequest>()
  app.addHook('onRequest', (request, _reply, done) => {
    seen.add(request)
    observer.started(request.method)
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    // One that was refused before it came here was not counted as started.
    if (!seen.has(request)) observer.started(request.method)
    observer.ended(request.method, routeName(request), reply.statusCode, reply.elapsedTime / 1_000)
    done()
  })
}

function routeName({ method, raw }: FastifyRequest): RouteName {
  const url = raw.url ?? '/'
  if (/^\/(?:[?#]|$)/.test(url)) return 'providers.list'
  const { call } = targetOf(url)
  if (call !== undefined && method === 'POST') return `provider.${call.verb}`
  return method === 'DELETE' ? 'provider.clear' : 'provider.show'
}
