/**
 * Leases as JSON beside the wire, under `/api/v1/leases`: what people and the console look at, the history, and clearing with a
 * reason. A provider is one percent-encoded segment, `acme%2Fshop@main`. The list and one provider turn into live streams
 * (server-sent events) for a client that asks for `text/event-stream`.
 */
import { z } from 'zod'
import type { Clock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import { nameFilter, type Access } from '../ports/access.ts'
import { streamSnapshots, wantsStream } from '../ports/event-stream.ts'
import {
  clearBody,
  leaseHistoryView,
  leaseListView,
  leaseProviderView,
  parseProviderLabel,
  providerLabel,
  providerText,
  type LeaseListView,
  type ProviderName,
} from './api.ts'
import type { App } from './http.ts'
import type { LeasesService } from './service.ts'

export interface LeasesApiFaceOptions {
  readonly leases: LeasesService
  readonly clock: Clock
}

const tags = ['leases']
const params = z.object({ provider: providerText.describe('OWNER/REPO@BASE, percent-encoded.') })
const limit = z.coerce.number().int().min(1).max(1_000).optional()
const viewer: Access = { role: 'viewer', noun: 'leases', param: 'provider' }
const operator: Access = { role: 'operator', noun: 'leases', param: 'provider' }
/** Providers in one live snapshot. */
const LIVE_PROVIDERS = 200

/** @example app.register(leasesApiFace({ leases, clock })) */
export function leasesApiFace({ leases, clock }: LeasesApiFaceOptions): (app: App) => Promise<void> {
  return async (app) => {
    listRoute(app, leases, clock)
    providerRoute(app, leases, clock)
    app.route({
      method: 'GET',
      url: '/api/v1/leases/:provider/history',
      config: { access: viewer },
      schema: {
        tags,
        operationId: 'leaseHistory',
        summary: 'Requests that are over, newest first; 30 days are kept',
        params,
        querystring: z.object({
          limit,
          before: z.coerce
            .number()
            .int()
            .min(1)
            .optional()
            .describe('Only requests with a lower `seq`: `next` of the page before.'),
        }),
        response: { 200: leaseHistoryView },
      },
      handler: async ({ params: { provider }, query }) =>
        leases.history(named(provider), {
          ...(query.limit === undefined ? {} : { limit: query.limit }),
          ...(query.before === undefined ? {} : { before: query.before }),
        }),
    })
    app.route({
      method: 'POST',
      url: '/api/v1/leases/:provider/clear',
      config: { access: operator },
      schema: {
        tags,
        operationId: 'clearLeaseProvider',
        summary: 'Forget the holder and all requests; fences go on growing',
        params,
        body: clearBody,
        response: { 200: leaseProviderView },
      },
      handler: async ({ params: { provider }, body, principal }) => {
        const name = named(provider)
        await leases.clear(name, { by: principal.name, reason: body.reason })
        return leases.inspect(name)
      },
    })
  }
}

function listRoute(app: App, leases: LeasesService, clock: Clock): void {
  app.route({
    method: 'GET',
    url: '/api/v1/leases',
    config: { access: { role: 'viewer', noun: 'leases', filtered: true } },
    schema: {
      tags,
      operationId: 'listLeaseProviders',
      summary: 'Lease providers by name; with Accept: text/event-stream a live stream',
      querystring: z.object({ limit, after: providerText.optional() }),
      response: { 200: leaseListView },
    },
    handler: async (request, reply) => {
      const may = nameFilter(request.principal, 'leases')
      const visible = (name: ProviderName): boolean => may(providerLabel(name))
      const list = async (most: number, after?: string): Promise<LeaseListView> => {
        const names = (await leases.names()).filter(
          (name) => visible(name) && (after === undefined || providerLabel(name) > after),
        )
        const shown = names.slice(0, most)
        const providers = await Promise.all(shown.map((name) => leases.inspect(name)))
        const next = names.length > most ? providers.at(-1)?.provider : undefined
        return {
          now: new Date(clock.now()).toISOString(),
          providers,
          ...(next === undefined ? {} : { next }),
        }
      }
      if (!wantsStream(request)) return list(request.query.limit ?? 100, request.query.after)
      streamSnapshots(reply, {
        clock,
        onChange: (listener) => leases.onChange((name) => visible(name) && listener()),
        snapshot: async () => ({ event: 'providers', data: await list(LIVE_PROVIDERS) }),
        ages: true,
      })
      return reply
    },
  })
}

function providerRoute(app: App, leases: LeasesService, clock: Clock): void {
  app.route({
    method: 'GET',
    url: '/api/v1/leases/:provider',
    config: { access: viewer },
    schema: {
      tags,
      operationId: 'showLeaseProvider',
      summary: 'One provider and why each request waits; with Accept: text/event-stream a live stream',
      params,
      response: { 200: leaseProviderView },
    },
    handler: async (request, reply) => {
      const { provider } = request.params
      const name = named(provider)
      const view = await leases.inspect(name)
      if (!wantsStream(request)) return view
      streamSnapshots(reply, {
        clock,
        onChange: (listener) => leases.onChange((one) => providerLabel(one) === provider && listener()),
        snapshot: async () => ({ event: 'provider', data: await leases.inspect(name) }),
        ages: true,
      })
      return reply
    },
  })
}

function named(provider: string): ProviderName {
  const name = parseProviderLabel(provider)
  if (name !== undefined) return name
  throw new SignalboxError('invalid_argument', `provider: '${provider}' is not OWNER/REPO@BASE`)
}
