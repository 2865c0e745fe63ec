/** Plays scenarios without any HTTP: wire texts → service → rules, on a memory store. For scenarios that need no more than that. */
import { memoryDatabase } from '../../../src/drivers/memory/index.ts'
import { seededRandom } from '../../../src/kernel/id.ts'
import { ManualClock } from '../../../src/kernel/manual-clock.ts'
import { providerId } from '../../../src/leases/api.ts'
import { targetOf } from '../../../src/leases/http-paths.ts'
import {
  leaseBody,
  parseAcquire,
  parseRelease,
  providerBody,
  refusalError,
  unknownProvider,
  type WireError,
} from '../../../src/leases/http-wire.ts'
import { createLeasesService, type LeasesService } from '../../../src/leases/service.ts'
import { configSchema } from '../../../src/server/config/schema.ts'
import { leaseProviders } from '../../../src/server/lease-config.ts'
import { START_MS, type Player, type Scenario, type WireRequest } from './scenario.ts'

/** Does it concern leases alone: no sign-in, health, metrics, methods or configuration text? */
export function needsNoHttp({ config, raw_yaml, steps }: Scenario): boolean {
  const simple = raw_yaml === undefined && !JSON.stringify(config).includes('"auth"')
  return simple && steps.every(({ request }) => request === undefined || isLeaseCall(request))
}

function isLeaseCall({ method, path }: WireRequest): boolean {
  if (path === '/') return method === 'GET'
  const { call } = targetOf(path)
  return call === undefined
    ? /^\/[^/]+\/[^/]+\/./.test(path) && ['GET', 'DELETE'].includes(method)
    : method === 'POST'
}

export async function playerInProcess({ config }: Scenario): Promise<Player> {
  const clock = new ManualClock(START_MS)
  const database = memoryDatabase()
  const providers = leaseProviders(configSchema.parse(config))
  const open = (): LeasesService =>
    createLeasesService({ store: database.connect({ clock }), clock, random: seededRandom(1), providers })
  let leases = open()
  return {
    advance: (ms) => clock.advance(ms),
    async restart() {
      await leases.close()
      leases = open()
    },
    async send(request) {
      const [status, body] = await answer(leases, request)
      return { status, headers: {}, text: JSON.stringify(body) }
    },
    close: () => leases.close(),
  }
}

async function answer(
  leases: LeasesService,
  { method, path, body, raw_body }: WireRequest,
): Promise<[number, object]> {
  if (path === '/') {
    return [
      200,
      Object.fromEntries((await leases.list()).map((view) => [providerId(view.name), providerBody(view)])),
    ]
  }
  const { call, whole } = targetOf(path)
  if (!(await leases.has(call?.provider ?? whole, 'acquire'))) return refused(unknownProvider)
  if (call === undefined) {
    return [
      200,
      providerBody(method === 'GET' ? await leases.show(whole) : await leases.clear(whole, { by: 'ann' })),
    ]
  }
  const text = raw_body ?? JSON.stringify(body)
  const parsed = call.verb === 'acquire' ? parseAcquire(text) : parseRelease(text)
  const { request } = parsed
  if (request === undefined) return refused(parsed.problem as WireError)
  const told =
    'success' in request
      ? await leases.release(call.provider, request)
      : await leases.acquire(call.provider, request)
  return told.kind === 'refused'
    ? refused(refusalError(call.verb, told, request.sha))
    : [200, leaseBody(told)]
}

function refused({ status, error, context }: WireError): [number, object] {
  return [status, { error, error_context: context }]
}
