/**
 * `LeasesApi` at a distance: the reference's routes at the root of the server, `/:owner/:repo/:baseRef…`, in the form
 * that the original service has too. A base ref is one percent-encoded segment, for the original takes no other.
 *
 * Invariant: only an answer that is in every respect a grant for this very request becomes one (`lease-answers.ts`).
 */
import {
  leaseHistoryView,
  providerLabel,
  type AcquireRequest,
  type LeaseAnswer,
  type LeasesApi,
  type LeasesReading,
  type ProviderName,
  type Refusal,
  type ReleaseRequest,
} from '../leases/api.ts'
import { refusal } from './failure.ts'
import { readLease, readProvider, readProviders, type Asked } from './lease-answers.ts'
import { readProblem, readRefusal } from './lease-problems.ts'
import { query } from './query.ts'
import type { Transport } from './transport.ts'

/** Takes leases on the server that `transport` reaches. Each call is sent once; see `LeasesApi` for what it throws. */
export function leasesOver(transport: Transport): LeasesApi & Pick<LeasesReading, 'history'> {
  return {
    acquire: (provider, request, signal) => post(transport, provider, { verb: 'acquire', request, signal }),
    release: (provider, request, signal) => post(transport, provider, { verb: 'release', request, signal }),
    async show(provider) {
      return readProvider(await send(transport, { method: 'GET', provider }), provider)
    },
    async clear(provider, { reason }) {
      const done = reason !== undefined && (await clearedBecause(transport, provider, reason))
      const method = done ? 'GET' : 'DELETE'
      return readProvider(await send(transport, { method, provider }), provider)
    },
    async list() {
      return readProviders(await send(transport, { method: 'GET' }))
    },
    async history(provider, options = {}) {
      const label = encodeURIComponent(providerLabel(provider))
      const path = `/api/v1/leases/${label}/history${query({ limit: options.limit, before: options.before })}`
      return transport.call({ method: 'GET', path, answer: leaseHistoryView })
    },
  }
}

type Order = { readonly signal: AbortSignal | undefined } & (
  | { readonly verb: 'acquire'; readonly request: AcquireRequest }
  | { readonly verb: 'release'; readonly request: ReleaseRequest }
)

async function post(
  transport: Transport,
  provider: ProviderName,
  { verb, request, signal }: Order,
): Promise<LeaseAnswer | Refusal> {
  const { sha, ref, priority } = request
  const body = {
    head_sha: sha,
    ...(ref === undefined ? {} : { head_ref: ref }),
    priority,
    // The original service knows these two only.
    ...('success' in request ? { status: request.success ? 'success' : 'failure' } : {}),
    ...('leaseMs' in request && request.leaseMs !== undefined
      ? { lease_seconds: Math.ceil(request.leaseMs / 1_000) }
      : {}),
  }
  const call = { method: 'POST', path: `${pathOf(provider)}/${verb}`, body, signal } as const
  const answer = { ...(await transport.exchange(call)), facts: transport.facts(call) }
  const asked: Asked = { verb, sha, ref, priority }
  if (answer.status >= 200 && answer.status <= 299) return readLease(answer, asked)
  const refusal = readRefusal(answer, verb)
  if (refusal !== undefined) return refusal
  throw readProblem(answer, provider)
}

async function send(
  transport: Transport,
  { method, provider }: { readonly method: 'GET' | 'DELETE'; readonly provider?: ProviderName },
): Promise<Parameters<typeof readProvider>[0]> {
  const call = { method, path: provider === undefined ? '/' : pathOf(provider) }
  const answer = { ...(await transport.exchange(call)), facts: transport.facts(call) }
  if (answer.status >= 200 && answer.status <= 299) return answer
  throw readProblem(answer, provider)
}

/** The wire knows no reasons; the API beside it does, where there is one. @returns whether it is done */
async function clearedBecause(
  transport: Transport,
  provider: ProviderName,
  reason: string,
): Promise<boolean> {
  const path = `/api/v1/leases/${encodeURIComponent(providerLabel(provider))}/clear`
  const call = { method: 'POST', path, body: { reason } } as const
  const { status, text } = await transport.exchange(call)
  if (status >= 200 && status <= 299) return true
  if (status === 404 || status === 405) return false
  throw refusal(status, text, transport.facts(call))
}

function pathOf({ owner, repo, baseRef }: ProviderName): string {
  return `/${[owner, repo, baseRef].map(encodeURIComponent).join('/')}`
}
