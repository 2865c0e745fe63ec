/**
 * The answers of the leases' wire, in both generations' forms: facts of a request nested under `request`, flat, or both.
 *
 * Invariant: nothing is taken for a lease that does not say so itself: an answer that is no JSON, has another status than
 * those of the wire, contradicts itself or does not name the commit is `unavailable`, for whoever gave it is not Signalbox.
 * `details.strange` is set then, for what passed such an answer on may have passed the call on as well.
 */
import { z } from 'zod'
import { SignalboxError } from '../kernel/error.ts'
import type { HolderReport, LeaseAnswer, ProviderName, ProviderReport, RequestReport } from '../leases/api.ts'
import { pullRequestOf } from '../leases/api.ts'
import { parseJson, type CallFacts } from './failure.ts'
import type { LeaseWireAnswer } from './lease-problems.ts'

export interface Asked {
  readonly verb: 'acquire' | 'release'
  readonly sha: string
  readonly ref?: string | undefined
  readonly priority: number
}

/** RFC 3339 → milliseconds. */
const time = z
  .string()
  .transform((text, context) => {
    const ms = Date.parse(text)
    if (!Number.isNaN(ms)) return ms
    context.issues.push({ code: 'custom', message: 'is not a time', input: text })
    return z.NEVER
  })
  .nullish()
const whole = z.int().nonnegative().nullish()
const stack = z.array(z.object({ number: z.int() })).nullish()

const requestFacts = z.object({
  head_sha: z.string().nullish(),
  head_ref: z.string().nullish(),
  priority: z.number().nullish(),
  status: z.string().nullish(),
})
const leaseBody = requestFacts.extend({
  request: requestFacts.nullish(),
  stacked_pull_requests: stack,
  fence: whole,
  expires_at: time,
  lease_seconds: z.number().positive().nullish(),
  reason: z.string().nullish(),
  retry_after: z.number().nonnegative().nullish(),
})

const requestBody = requestFacts.extend({
  request: requestFacts.nullish(),
  pull_request: whole,
  joined_at: time,
  last_seen_at: time,
  stacked_pull_requests: stack,
  fence: whole,
  acquired_at: time,
  expires_at: time,
})
const seconds = z.number().nullish()
const providerBody = z.object({
  last_updated_at: time,
  acquired: requestBody.nullish(),
  // The first versions of the original service had them by commit.
  known: z.union([z.array(requestBody), z.record(z.string(), requestBody).transform(byPriority)]).nullish(),
  config: z
    .object({
      stabilize_duration: seconds,
      ttl: seconds,
      expected_request_count: whole,
      delay_assignment_count: whole,
      max_lease_seconds: seconds,
      cool_down_seconds: seconds,
    })
    .nullish(),
  phase: z.enum(['open', 'held', 'draining', 'failover']).nullish(),
  failed_head_sha: z.string().nullish(),
  last_fence: whole,
  reason: z.string().nullish(),
})

const STATUSES: Readonly<Record<Asked['verb'], Readonly<Record<string, LeaseAnswer['status']>>>> = {
  acquire: { pending: 'pending', acquired: 'acquired', completed: 'completed' },
  release: { completed: 'completed', success: 'completed', failure: 'failure' },
}

/** @throws SignalboxError `unavailable` */
export function readLease(answer: LeaseWireAnswer, asked: Asked): LeaseAnswer {
  const body = read(leaseBody, answer)
  const { status: said, sha, ref, priority } = merged(body, answer.facts)
  const statuses = STATUSES[asked.verb]
  const status = said !== undefined && Object.hasOwn(statuses, said) ? statuses[said] : undefined
  if (status === undefined) throw strange(answer.facts, `with the lease status '${printed(said)}'`)
  if (sha === undefined) throw strange(answer.facts, 'about no commit')
  if (sha !== asked.sha) throw strange(answer.facts, `about commit '${printed(sha)}'`)
  const retryAfterMs = typeof body.retry_after === 'number' ? body.retry_after * 1_000 : answer.retryAfterMs
  return {
    kind: 'lease',
    status,
    sha: asked.sha,
    ref: ref ?? asked.ref,
    priority: priority ?? asked.priority,
    ...(typeof body.fence === 'number' ? { fence: body.fence } : {}),
    ...(typeof body.expires_at === 'number' ? { expiresAt: body.expires_at } : {}),
    ...(typeof body.lease_seconds === 'number' ? { leaseMs: body.lease_seconds * 1_000 } : {}),
    ...(body.stacked_pull_requests == null ? {} : { stacked: numbers(body.stacked_pull_requests) }),
    ...(typeof body.reason === 'string' ? { reason: body.reason } : {}),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  }
}

/** @throws SignalboxError `unavailable` */
export function readProvider(answer: LeaseWireAnswer, name: ProviderName): ProviderReport {
  return report(name, read(providerBody, answer), answer.facts)
}

/** @throws SignalboxError `unavailable` */
export function readProviders(answer: LeaseWireAnswer): ProviderReport[] {
  const all = read(z.record(z.string(), providerBody), answer)
  return Object.entries(all).map(([id, body]) => {
    const [owner = '', repo = '', ...rest] = id.split(':')
    if (rest.length === 0) throw strange(answer.facts, `with the lease provider '${printed(id)}'`)
    return report({ owner, repo, baseRef: rest.join(':') }, body, answer.facts)
  })
}

function report(name: ProviderName, body: z.infer<typeof providerBody>, facts: CallFacts): ProviderReport {
  const { acquired, config } = body
  if (acquired === undefined || body.known == null)
    throw strange(facts, 'to the question about a lease provider')
  return {
    name,
    config: {
      ...inMs('stabilizeMs', config?.stabilize_duration),
      ...inMs('ttlMs', config?.ttl),
      ...(config?.expected_request_count == null ? {} : { expectedCount: config.expected_request_count }),
      ...(config?.delay_assignment_count == null ? {} : { delayCount: config.delay_assignment_count }),
      ...inMs('maxLeaseMs', config?.max_lease_seconds),
      ...inMs('coolDownMs', config?.cool_down_seconds),
    },
    updatedAt: body.last_updated_at ?? 0,
    ...(acquired === null ? {} : { holder: holderOf(acquired, facts) }),
    stacked: numbers(acquired?.stacked_pull_requests ?? []),
    known: body.known.map((known) => requestOf(known, facts)),
    ...(body.phase == null ? {} : { phase: body.phase }),
    ...(body.failed_head_sha == null ? {} : { failedSha: body.failed_head_sha }),
    ...(body.last_fence == null ? {} : { lastFence: body.last_fence }),
    ...(body.reason == null ? {} : { reason: body.reason }),
  }
}

function holderOf(body: z.infer<typeof requestBody>, facts: CallFacts): HolderReport {
  return {
    ...requestOf(body, facts),
    ...(body.fence == null ? {} : { fence: body.fence }),
    ...(body.acquired_at == null ? {} : { grantedAt: body.acquired_at }),
    ...(body.expires_at == null ? {} : { expiresAt: body.expires_at }),
  }
}

function requestOf(body: z.infer<typeof requestBody>, facts: CallFacts): RequestReport {
  const { sha = '', ref, priority = 0, status } = merged(body, facts)
  const pullRequest = body.pull_request ?? (ref === undefined ? undefined : pullRequestOf(ref))
  return {
    sha,
    priority,
    // The original service calls a holder that has succeeded so.
    status:
      status === 'acquired'
        ? status
        : status === 'completed' || status === 'success'
          ? 'completed'
          : 'pending',
    ...(ref === undefined ? {} : { ref }),
    ...(pullRequest === undefined ? {} : { pullRequest }),
    ...(body.joined_at == null ? {} : { joinedAt: body.joined_at }),
    ...(body.last_seen_at == null ? {} : { seenAt: body.last_seen_at }),
  }
}

type Facts = z.infer<typeof requestFacts>

/** The nested and the flat form as one. @throws SignalboxError `unavailable` when they contradict each other */
function merged(
  body: Facts & { readonly request?: Facts | null | undefined },
  facts: CallFacts,
): { status?: string; sha?: string; ref?: string; priority?: number } {
  const one = <T>(nested: T | null | undefined, flat: T | null | undefined): T | undefined => {
    if (nested != null && flat != null && nested !== flat) throw strange(facts, 'in contradiction to itself')
    return nested ?? flat ?? undefined
  }
  const { request } = body
  const status = one(request?.status, body.status)
  const sha = one(request?.head_sha, body.head_sha)
  const ref = one(request?.head_ref, body.head_ref)
  const priority = one(request?.priority, body.priority)
  return {
    ...(status === undefined ? {} : { status }),
    ...(sha === undefined ? {} : { sha }),
    ...(ref === undefined || ref === '' ? {} : { ref }),
    ...(priority === undefined ? {} : { priority }),
  }
}

function read<T>(shape: z.ZodType<T>, { status, text, facts }: LeaseWireAnswer): T {
  const json = parseJson(text)
  if (json === undefined) throw strange(facts, `with status ${status}`)
  const body = shape.safeParse(json)
  if (body.success) return body.data
  const at = body.error.issues[0]
  throw strange(facts, `in another shape (${at?.path.join('.')}: ${at?.message})`)
}

function strange({ address }: CallFacts, how: string): SignalboxError {
  return new SignalboxError(
    'unavailable',
    `${address}: answered ${how}, not as Signalbox does; check the address`,
    { details: { strange: true } },
  )
}

function printed(text: string | undefined): string {
  return (text ?? '').slice(0, 60)
}

function byPriority(
  known: Readonly<Record<string, z.infer<typeof requestBody>>>,
): z.infer<typeof requestBody>[] {
  return Object.values(known).toSorted((a, b) => (a.priority ?? 0) - (b.priority ?? 0))
}

function numbers(entries: readonly { readonly number: number }[]): number[] {
  return entries.map(({ number }) => number)
}

function inMs<K extends string>(name: K, value: number | null | undefined): Partial<Record<K, number>> {
  return value == null ? {} : ({ [name]: value * 1_000 } as Partial<Record<K, number>>)
}
