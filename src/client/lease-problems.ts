/** What the leases' wire says when it does not do what was asked: `{error, error_context?, reason?, retry_after?}`. */
import { z } from 'zod'
import { isErrorCode, SignalboxError } from '../kernel/error.ts'
import { providerLabel, type ProviderName, type Refusal } from '../leases/api.ts'
import { codeByStatus, parseJson, refusal, type CallFacts } from './failure.ts'
import type { RawAnswer } from './transport.ts'

/** An answer with the call that it belongs to. */
export interface LeaseWireAnswer extends RawAnswer {
  readonly facts: CallFacts
}

const fieldProblem = z.object({ failed_field: z.string(), tag: z.string(), value: z.string().nullish() })
const wireProblem = z.object({
  error: z.string(),
  error_context: z.unknown().optional(),
  reason: z.string().nullish(),
  retry_after: z.number().nonnegative().nullish(),
  requestId: z.string().nullish(),
})
type WireProblem = z.infer<typeof wireProblem>

/** Conflicts are answers, not failures. Undefined: it is something else. */
export function readRefusal(answer: LeaseWireAnswer, verb: 'acquire' | 'release'): Refusal | undefined {
  const problem = parsed(answer)
  if (problem === undefined) return undefined
  const { error, error_context: context } = problem
  const said = problem.reason ?? (typeof context === 'string' ? context : error)
  const retryAfterMs = retryAfter(problem, answer)
  const more = { reason: said, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
  if (verb === 'acquire') {
    return answer.status === 409 ? { kind: 'refused', why: 'acquired', ...more } : undefined
  }
  // A body that cannot be read has a list for context, and is the caller's mistake.
  if (answer.status !== 400 || typeof context !== 'string') return undefined
  return { kind: 'refused', why: /hold the lease/.test(context) ? 'not_holder' : 'not_acquired', ...more }
}

/** @param provider whom the call names; the list names none */
export function readProblem(answer: LeaseWireAnswer, provider: ProviderName | undefined): SignalboxError {
  const { status, facts, text } = answer
  const problem = parsed(answer)
  if (status === 404) return unknownProvider(answer, problem, provider)
  if (problem === undefined) return withRetryAfter(refusal(status, text, facts), answer.retryAfterMs)
  const { error_context: context, requestId } = problem
  const code = isErrorCode(String(context)) ? (context as string) : undefined
  const details = typeof requestId === 'string' ? { details: { requestId } } : {}
  const failure = new SignalboxError(
    code !== undefined && isErrorCode(code) ? code : codeOf(status, facts),
    wordsOf(problem, facts, provider),
    details,
  )
  return withRetryAfter(failure, retryAfter(problem, answer))
}

function parsed({ text }: LeaseWireAnswer): WireProblem | undefined {
  const body = wireProblem.safeParse(parseJson(text))
  return body.success ? body.data : undefined
}

/** One whose form is strange may come from a proxy; then `details.foreign` is set. */
function unknownProvider(
  { facts }: LeaseWireAnswer,
  problem: WireProblem | undefined,
  provider: ProviderName | undefined,
): SignalboxError {
  const { address } = facts
  if (problem === undefined || provider === undefined) {
    const what = `${address}: answered with status 404, but not as Signalbox does; check the address`
    return new SignalboxError('not_found', what, { details: { foreign: true } })
  }
  const what = `${providerLabel(provider)}: ${address} has no such lease provider; check owner, repository and base ref against its configuration (case counts)`
  return new SignalboxError('not_found', what)
}

function codeOf(status: number, facts: CallFacts): SignalboxError['code'] {
  return status === 422 || status === 405 ? 'invalid_argument' : codeByStatus(status, facts.write)
}

function wordsOf(
  { error, error_context: context, reason }: WireProblem,
  { address }: CallFacts,
  provider: ProviderName | undefined,
): string {
  const at = provider === undefined ? address : providerLabel(provider)
  const fields = z.array(fieldProblem).min(1).safeParse(context)
  if (fields.success) return `${at}: the server refused the request: ${fields.data.map(inWords).join('; ')}`
  const because = reason ?? (typeof context === 'string' && !isErrorCode(context) ? context : undefined)
  return `${at}: ${error}${because === undefined ? '' : `: ${because}`}`
}

const RULES: Readonly<Record<string, (value: string) => string>> = {
  required: () => 'is missing',
  min: (value) => `must be at least ${value}`,
  max: (value) => `must not be longer than ${value}`,
  oneof: (value) => `must be one of ${value.split(' ').join(', ')}`,
  ghTempBranchRef: () => 'must be a branch of a merge queue: gh-readonly-queue/<base>/pr-<number>-<commit>',
}

/** `{failed_field: 'acquireRequest.HeadSHA', tag: 'required'}` → `head_sha is missing` */
function inWords({ failed_field: field, tag, value }: z.infer<typeof fieldProblem>): string {
  const name = (field.split('.').at(-1) ?? field).replaceAll(/([a-z])([A-Z])/g, '$1_$2').toLowerCase()
  const rule = Object.hasOwn(RULES, tag) ? RULES[tag] : undefined
  return `${name} ${rule?.(value ?? '') ?? `is not allowed (${tag})`}`
}

function retryAfter({ retry_after: seconds }: WireProblem, { retryAfterMs }: RawAnswer): number | undefined {
  return typeof seconds === 'number' ? seconds * 1_000 : retryAfterMs
}

/** `details.retryAfterMs`: when the server wants to be asked again. */
function withRetryAfter(error: SignalboxError, retryAfterMs: number | undefined): SignalboxError {
  if (retryAfterMs === undefined) return error
  return new SignalboxError(error.code, error.message, { details: { ...error.details, retryAfterMs } })
}
