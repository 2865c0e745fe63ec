/**
 * Failures in the words of the reference: `{detail}`, and for a request that cannot be processed `{detail, body}`, where `detail`
 * lists each problem with its place and `body` is what came, without the API key.
 */
import type { FastifyReply, FastifyRequest, FastifySchemaCompiler } from 'fastify'
import { z } from 'zod'
import { toSignalboxError, type ErrorCode, type SignalboxError } from '../../kernel/error.ts'

export const problemView = z
  .object({
    detail: z.string(),
    id: z.string().optional().describe('Of a vote that may have been queued: send it again with this id.'),
  })
  .meta({ id: 'Problem', description: 'What was wrong, in one line.' })

export const invalidView = z
  .object({
    detail: z.array(
      z.object({
        loc: z
          .array(z.union([z.string(), z.number()]))
          .describe('Where: body, query or headers, then the field.'),
        msg: z.string(),
        type: z.string(),
      }),
    ),
    body: z.unknown().describe('What came, without the API key.'),
  })
  .meta({ id: 'Invalid' })

interface Problem {
  readonly loc: readonly (string | number)[]
  readonly msg: string
  readonly type: string
}

/** A request that breaks its schema. */
class InvalidRequest extends Error {
  readonly detail: readonly Problem[]

  constructor(detail: readonly Problem[]) {
    super('the request is not valid')
    this.detail = detail
  }
}

/** At most this many problems are named; the rest is likely to follow from them. */
const NAMED = 20

/** For `app.setValidatorCompiler`: parses with the route's zod schema. */
export const validatorCompiler: FastifySchemaCompiler<z.ZodType> =
  ({ schema, httpPart }) =>
  (data: unknown) => {
    const result = schema.safeParse(data)
    if (result.success) return { value: result.data }
    const part = httpPart === 'querystring' ? 'query' : (httpPart ?? 'body')
    const problems = result.error.issues.slice(0, NAMED).map((issue) => ({
      loc: [part, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))],
      msg: issue.message,
      type: issue.code,
    }))
    return { error: new InvalidRequest(problems) }
  }

const STATUS: Partial<Record<ErrorCode, number>> = { invalid_argument: 422, internal: 500 }
/** Of an engine too, these are the client's: a cursor that none gave, and more calls than it takes. */
const CLIENTS: ReadonlySet<ErrorCode> = new Set(['invalid_argument', 'throttled'])
const REDACTED = '***'

export interface ErrorLog {
  /** Told of failures that are not the client's. */
  readonly onFailure: (error: SignalboxError, request: FastifyRequest) => void
}

/** For `app.setErrorHandler`. */
export function sendError({ onFailure }: ErrorLog) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    if (error instanceof InvalidRequest) {
      send(reply, error.detail, request.body)
      return
    }
    const { statusCode, code } = (error ?? {}) as { readonly statusCode?: number; readonly code?: string }
    if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
      // What cannot be parsed is not repeated: it might hold the key.
      if (statusCode === 400) send(reply, unreadable(code), null)
      else reply.code(statusCode).send({ detail: CLIENT_ERRORS[statusCode] ?? 'Bad request' })
      return
    }
    const known = toSignalboxError(error)
    const status = statusOf(known)
    if (status >= 500) onFailure(known, request)
    if (status === 422) {
      send(reply, unprocessable(known), request.body)
      return
    }
    if (known.facts.retryable) reply.header('retry-after', '1')
    const { voteId } = known.details
    reply.code(status).send({
      detail: OURS[status] ?? known.message,
      ...(typeof voteId === 'string' ? { id: voteId } : {}),
    })
  }
}

/**
 * A table that is missing or credentials that expired are trouble of ours. A client that was told 401 or 404 would give its vote
 * up for good.
 */
function statusOf({ code, facts, details }: SignalboxError): number {
  const status = STATUS[code] ?? facts.http
  if (status >= 500 || CLIENTS.has(code) || details['field'] !== undefined) return status
  return 503
}

/** Everybody may ask, so what failed, and where it is, is for the log. */
const OURS: Readonly<Record<number, string>> = {
  500: 'Internal server error',
  503: 'The service cannot answer at present; try again',
}

const CLIENT_ERRORS: Readonly<Record<number, string>> = {
  404: 'Not found',
  413: 'The body is larger than 256 KiB',
  415: 'The body must be JSON, with content-type: application/json',
}

function unreadable(code: string | undefined): readonly Problem[] {
  const msg = code === 'FST_ERR_CTP_EMPTY_JSON_BODY' ? 'the body is empty, send JSON' : 'the body is not JSON'
  return [{ loc: ['body'], msg, type: 'json_invalid' }]
}

/** A place that names what cannot be. */
function unprocessable({ message, details }: SignalboxError): readonly Problem[] {
  const field = typeof details['field'] === 'string' ? details['field'] : ''
  const path = field.split('.').map((step) => (/^\d+$/.test(step) ? Number(step) : step))
  const loc = field === '' ? ['query'] : ['body', ...path]
  return [{ loc, msg: message, type: 'value_error' }]
}

function send(reply: FastifyReply, detail: readonly Problem[], body: unknown): void {
  reply.code(422).send({ detail, body: redacted(body) })
}

/** Deeper than any body that is meant, and not so deep that it cannot be written. */
const MAX_DEPTH = 20

function redacted(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value ?? null
  if (depth > MAX_DEPTH) return '…'
  if (Array.isArray(value)) return value.map((each) => redacted(each, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      name === 'api_key' ? REDACTED : redacted(inner, depth + 1),
    ]),
  )
}
