/**
 * What went wrong on the way, as a `SignalboxError`.
 *
 * Invariant: `unavailable` is said only when the call cannot have been applied (no connection came about, or whoever
 * answered is not Signalbox) or changes nothing. Everything after the first byte of a write is `outcome_unknown`.
 */
import { z } from 'zod'
import { errorCodes, isErrorCode, SignalboxError, type ErrorCode } from '../kernel/error.ts'

/** One call, as far as its failures are concerned. */
export interface CallFacts {
  /** What messages call the server: its URL, or the path of its socket. */
  readonly address: string
  /** May the call change anything? */
  readonly write: boolean
}

/** Where the request never left this machine, or nobody took it. */
const NOT_SENT = new Set([
  'ECONNREFUSED',
  'ENOENT',
  'ENOTSOCK',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT',
])

const errorBody = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
  }),
  requestId: z.string().optional(),
})

/** A failure below HTTP: connect, reset, TLS. */
export function transportFailure(cause: unknown, { address, write }: CallFacts): SignalboxError {
  const reason = codeOf(cause)
  if (reason === 'EACCES' || reason === 'EPERM') {
    return new SignalboxError(
      'permission_denied',
      `${address}: may not connect (${reason}); run as the user who owns it, or set SIGNALBOX_URL`,
      { cause },
    )
  }
  if (reason !== undefined && (NOT_SENT.has(reason) || isTlsRefusal(reason))) {
    const remedy = 'check that the server runs and its address'
    return new SignalboxError('unavailable', `${address}: cannot connect (${reason}); ${remedy}`, { cause })
  }
  const what = `${address}: the connection broke before the answer came (${reason ?? messageOf(cause)})`
  return new SignalboxError(write ? 'outcome_unknown' : 'unavailable', what, { cause })
}

/** No whole answer within the time that the call may take. */
export function timeoutFailure(ms: number, { address, write }: CallFacts): SignalboxError {
  const what = `${address}: no answer within ${Math.round(ms / 100) / 10}s`
  return new SignalboxError(write ? 'outcome_unknown' : 'unavailable', what)
}

/** The caller's signal ended the call. */
export function cancelledCall(reason: unknown, { address }: CallFacts): SignalboxError {
  return new SignalboxError('cancelled', `${address}: the call was given up`, { cause: reason })
}

/** An answer whose status is not 2xx. */
export function refusal(status: number, text: string, facts: CallFacts): SignalboxError {
  const body = errorBody.safeParse(parseJson(text))
  if (!body.success) return foreignAnswer(status, facts)
  const { code, message, details } = body.data.error
  return new SignalboxError(isErrorCode(code) ? code : codeByStatus(status, facts.write), message, {
    details: {
      ...details,
      ...(body.data.requestId === undefined ? {} : { requestId: body.data.requestId }),
    },
  })
}

/** An answer that Signalbox does not give: from a proxy, or from another server at this address. */
export function foreignAnswer(status: number, { address, write }: CallFacts): SignalboxError {
  if (status === 401 || status === 403 || status === 413 || status === 429) {
    return new SignalboxError(codeByStatus(status, write), `${address}: refused with status ${status}`)
  }
  if (status >= 500) {
    const what = `${address}: answered with status ${status} and no explanation; the server or a proxy before it fails`
    return new SignalboxError(write ? 'outcome_unknown' : 'unavailable', what)
  }
  const what = `${address}: answered with status ${status}, but not as Signalbox does; check the address`
  return new SignalboxError('unavailable', what)
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** For a status without a code that this version knows. */
export function codeByStatus(status: number, write: boolean): ErrorCode {
  if (status >= 500) return write && status !== 503 ? 'outcome_unknown' : 'unavailable'
  const known = Object.entries(errorCodes).find(([, facts]) => facts.http === status)
  return (known?.[0] as ErrorCode | undefined) ?? 'invalid_argument'
}

/** Certificates are judged before the request is sent. */
function isTlsRefusal(code: string): boolean {
  return /^(?:ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/.test(code)
}

function codeOf(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException
    if (typeof code === 'string' && code !== 'UND_ERR_SOCKET') return code
  }
  return undefined
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
