/**
 * The reference's wire in both directions: bodies of acquire and release, and the answers in both generations' forms (the
 * nested `request`, and the README's flat fields beside it). Existing clients read these texts; they are the contract.
 *
 * Invariant: a 200 never has another status than `pending`, `acquired`, `completed`, or `failure` on release.
 */
import {
  providerId,
  pullRequestOf,
  type AcquireRequest,
  type KnownRequest,
  type LeaseAnswer,
  type ProviderView,
  type Refusal,
  type ReleaseRequest,
} from './api.ts'

export type Verb = 'acquire' | 'release'

export interface FieldProblem {
  readonly failed_field: string
  readonly tag: 'required' | 'min' | 'max' | 'oneof' | 'ghTempBranchRef'
  readonly value: string
}

/** Every error of the wire. */
export interface WireError {
  readonly status: number
  readonly error: string
  readonly context?: unknown
  readonly retryAfterMs?: number | undefined
}

export interface Parsed<T> {
  readonly request?: T
  readonly problem?: WireError
}

const FAILURES = ['failure', 'cancelled', 'timed_out', 'skipped']
const STATUSES = ['success', ...FAILURES]
/** Longer ones are nobody's, and would not fit into a record. */
const MAX_TEXT = 500

interface Body {
  readonly sha: string
  readonly ref: string
  readonly priority: number
  readonly status: string
  readonly leaseSeconds: number | undefined
}

export function parseAcquire(text: string): Parsed<AcquireRequest> {
  const body = readBody(text)
  if ('problem' in body) return body
  const problems = commonProblems('acquireRequest', body)
  const { leaseSeconds } = body
  if (leaseSeconds !== undefined && leaseSeconds < 1) {
    problems.push({ failed_field: 'acquireRequest.LeaseSeconds', tag: 'min', value: '1' })
  }
  if (problems.length > 0) return { problem: invalid(problems) }
  const leaseMs = leaseSeconds === undefined ? undefined : leaseSeconds * 1_000
  return { request: { sha: body.sha, ref: refOf(body), priority: body.priority, leaseMs } }
}

export function parseRelease(text: string): Parsed<ReleaseRequest> {
  const body = readBody(text)
  if ('problem' in body) return body
  const problems = commonProblems('releaseRequest', body)
  const field = 'releaseRequest.Status'
  if (body.status === '') problems.push({ failed_field: field, tag: 'required', value: '' })
  else if (!STATUSES.includes(body.status)) {
    problems.push({ failed_field: field, tag: 'oneof', value: STATUSES.join(' ') })
  }
  if (problems.length > 0) return { problem: invalid(problems) }
  const success = body.status === 'success'
  return { request: { sha: body.sha, ref: refOf(body), priority: body.priority, success } }
}

/** Types are wrong: 422, as for text that is no JSON at all. A field that is absent or null counts as empty. */
function readBody(text: string): Body | { readonly problem: WireError } {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (error) {
    return { problem: unreadable(text.trim() === '' ? 'the body is empty' : (error as Error).message) }
  }
  if (json !== null && (typeof json !== 'object' || Array.isArray(json))) {
    return { problem: unreadable('the body is not a JSON object') }
  }
  const fields = new Fields((json ?? {}) as Readonly<Record<string, unknown>>)
  const body: Body = {
    sha: fields.text('head_sha'),
    ref: fields.text('head_ref').replace(/^refs\/heads\//, ''),
    priority: fields.integer('priority') ?? 0,
    status: fields.text('status'),
    leaseSeconds: fields.integer('lease_seconds'),
  }
  return fields.wrong === undefined ? body : { problem: unreadable(fields.wrong) }
}

class Fields {
  readonly #from: Readonly<Record<string, unknown>>
  wrong: string | undefined

  constructor(from: Readonly<Record<string, unknown>>) {
    this.#from = from
  }

  text(name: string): string {
    const value = this.#own(name) ?? ''
    if (typeof value === 'string') return value
    this.wrong ??= `${name} must be text`
    return ''
  }

  integer(name: string): number | undefined {
    const value = this.#own(name) ?? undefined
    if (value === undefined || Number.isSafeInteger(value)) return value as number | undefined
    this.wrong ??= `${name} must be a whole number`
    return undefined
  }

  #own(name: string): unknown {
    return Object.hasOwn(this.#from, name) ? this.#from[name] : undefined
  }
}

function commonProblems(kind: string, { sha, ref, priority }: Body): FieldProblem[] {
  const problems: FieldProblem[] = []
  const add = (field: string, tag: FieldProblem['tag'], value = ''): void => {
    problems.push({ failed_field: `${kind}.${field}`, tag, value })
  }
  if (sha === '') add('HeadSHA', 'required')
  else if (sha.length > MAX_TEXT) add('HeadSHA', 'max', String(MAX_TEXT))
  if (ref !== '' && (ref.length > MAX_TEXT || pullRequestOf(ref) === undefined)) {
    add('HeadRef', 'ghTempBranchRef')
  }
  if (priority === 0) add('Priority', 'required')
  else if (priority < 1) add('Priority', 'min', '1')
  return problems
}

function refOf({ ref }: Body): string | undefined {
  return ref === '' ? undefined : ref
}

function unreadable(why: string): WireError {
  return { status: 422, error: "The body can't be read as JSON", context: why.replaceAll(/\s+/g, ' ') }
}

function invalid(problems: readonly FieldProblem[]): WireError {
  return { status: 400, error: 'Invalid request', context: problems }
}

export const unknownProvider: WireError = { status: 404, error: 'unknown provider' }

export function refusalError(
  verb: Verb,
  { why, reason, retryAfterMs }: Refusal,
  sha: string,
): WireError & {
  readonly reason: string
} {
  if (verb === 'acquire') {
    const error = "Couldn't acquire the lock"
    return { status: 409, error, context: 'lease already acquired', reason, retryAfterMs }
  }
  const context = why === 'not_holder' ? `commit ${sha} does not hold the lease` : 'no lease acquired'
  return { status: 400, error: "Couldn't release the lock", context, reason }
}

/** The body of a 200 to acquire or release. */
export function leaseBody(answer: LeaseAnswer): object {
  const { status, sha, ref, priority, fence, expiresAt, leaseMs, stacked, reason, retryAfterMs } = answer
  const flat = { head_sha: sha, ...(ref === undefined ? {} : { head_ref: ref }), priority, status }
  return {
    request: flat,
    ...(stacked === undefined ? {} : { stacked_pull_requests: stackBody(stacked) }),
    ...flat,
    ...(fence === undefined ? {} : { fence }),
    ...(expiresAt === undefined ? {} : { expires_at: rfc3339(expiresAt) }),
    ...(leaseMs === undefined ? {} : { lease_seconds: leaseMs / 1_000 }),
    ...(reason === undefined ? {} : { reason }),
    ...(retryAfterMs === undefined ? {} : { retry_after: Math.ceil(retryAfterMs / 1_000) }),
  }
}

/** One provider, for `GET` and `DELETE`, and as a value of the list. */
export function providerBody(view: ProviderView): object {
  const { holder, known, config, stacked } = view
  return {
    last_updated_at: rfc3339(view.updatedAt),
    acquired:
      holder === undefined
        ? null
        : {
            ...requestBody(holder),
            ...(holder.status === 'acquired' ? { stacked_pull_requests: stackBody(stacked) } : {}),
            fence: holder.fence,
            acquired_at: rfc3339(holder.grantedAt),
            expires_at: rfc3339(holder.expiresAt),
          },
    known: known.map(requestBody),
    config: {
      stabilize_duration: config.stabilizeMs / 1_000,
      ttl: config.ttlMs / 1_000,
      expected_request_count: config.expectedCount,
      delay_assignment_count: config.delayCount,
      max_lease_seconds: config.maxLeaseMs / 1_000,
      cool_down_seconds: config.coolDownMs / 1_000,
    },
    id: providerId(view.name),
    owner: view.name.owner,
    name: view.name.repo,
    base_ref: view.name.baseRef,
    phase: view.phase,
    ...(view.failedSha === undefined ? {} : { failed_head_sha: view.failedSha }),
    last_fence: view.lastFence,
    reason: view.reason,
  }
}

function requestBody(known: KnownRequest): object {
  const flat = {
    head_sha: known.sha,
    ...(known.ref === undefined ? {} : { head_ref: known.ref }),
    priority: known.priority,
    status: known.status,
  }
  return {
    request: flat,
    ...flat,
    ...(known.pullRequest === undefined ? {} : { pull_request: known.pullRequest }),
    joined_at: rfc3339(known.joinedAt),
    last_seen_at: rfc3339(known.seenAt),
  }
}

function stackBody(stacked: readonly number[]): { readonly number: number }[] {
  return stacked.map((number) => ({ number }))
}

/** RFC 3339 in UTC, without a fraction when the second is whole. */
export function rfc3339(ms: number): string {
  return new Date(ms).toISOString().replace(/\.?0*Z$/, 'Z')
}
