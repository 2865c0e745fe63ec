/**
 * From a thrown value to an HTTP answer: `{ error: { code, message, details? }, requestId }`.
 *
 * Invariants: the code decides the status (kernel/error.ts), except where HTTP has a more exact one (405, 414, 415);
 * the text of an unexpected error is logged under the request's id and never sent.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { SignalboxError, isSignalboxError, toSignalboxError } from '../kernel/error.ts'
import type { Lifecycle } from './health.ts'
import type { Logger } from './logger.ts'
import { setDataHeaders } from './security-headers.ts'

interface HttpProblem {
  readonly status: number
  readonly error: SignalboxError
}

/** What fastify's own errors mean in our vocabulary. */
const frameworkProblems: Readonly<Record<string, (request: FastifyRequest) => HttpProblem>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ({ headers }) =>
    problem(
      'invalid_argument',
      `content-type '${clip(headers['content-type'])}'; send application/json`,
      415,
    ),
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: () =>
    problem('invalid_argument', 'body: its length differs from the content-length header'),
  FST_ERR_CTP_EMPTY_JSON_BODY: () =>
    problem(
      'invalid_argument',
      'body: empty, although content-type says JSON; send {} or leave the header out',
    ),
  FST_ERR_CTP_INVALID_JSON_BODY: () => problem('invalid_argument', 'body: not valid JSON'),
  FST_ERR_CTP_BODY_TOO_LARGE: ({ routeOptions }) =>
    problem('payload_too_large', `body: larger than ${routeOptions.bodyLimit} bytes (server.bodyLimitBytes)`),
  FST_ERR_MAX_PARAM_LENGTH: () => problem('invalid_argument', 'a part of the path is too long'),
  FST_ERR_BAD_URL: () =>
    problem('invalid_argument', 'the path is not valid percent-encoding; write a plain % as %25'),
}

/** The answer a thrown value deserves. */
function httpProblem(error: unknown, request: FastifyRequest): HttpProblem {
  if (isSignalboxError(error)) return { status: error.facts.http, error }
  const { code, statusCode, message } = error as { code?: string; statusCode?: number; message?: string }
  const known = code === undefined ? undefined : frameworkProblems[code]
  if (known !== undefined) return known(request)
  if (error instanceof SyntaxError && statusCode === 400) {
    return problem('invalid_argument', `body: not valid JSON (${oneLine(error.message)})`)
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return problem('invalid_argument', oneLine(message ?? 'the request cannot be read'), statusCode)
  }
  return { status: 500, error: toSignalboxError(error) }
}

/** Answers a request with the problem that was thrown. */
export type ProblemSender = (thrown: unknown, request: FastifyRequest, reply: FastifyReply) => void

export interface ProblemFacts {
  readonly logger: Logger
  readonly lifecycle: Lifecycle
  /** May callers sign in by name and password? */
  readonly basicUsers: boolean
}

/** Logs 5xx answers, the unexpected ones with their stack; those of a stopping server only at `debug`: they are meant. */
export function problemSender({ logger, lifecycle, basicUsers }: ProblemFacts): ProblemSender {
  const log = ({ status, error }: HttpProblem, { id, method, url }: FastifyRequest): void => {
    const facts = { requestId: id, method, url, status, code: error.code }
    if (error.code === 'internal') logger.error({ ...facts, err: error.cause ?? error }, 'request failed')
    else logger[lifecycle.state === 'stopping' ? 'debug' : 'warn'](facts, error.message)
  }
  return (thrown, request, reply) => {
    const problem = httpProblem(thrown, request)
    const { status, error } = problem
    if (status >= 500) log(problem, request)
    if (status === 401) void reply.header('www-authenticate', challenge(request, basicUsers))
    if (status === 429 || status === 503) void reply.header('retry-after', '1')
    reply.raw.setHeader('x-request-id', request.id) // errors before routing have passed no hook
    setDataHeaders(reply.raw)
    void reply.code(status).type('application/json; charset=utf-8').send(problemBody(error, request.id))
  }
}

/** To a script in a page it does not offer passwords, for the browser would ask its user for one. */
function challenge({ headers }: FastifyRequest, basicUsers: boolean): string {
  const mode = headers['sec-fetch-mode']
  const asks = mode === undefined || mode === 'navigate'
  return basicUsers && asks ? 'Bearer, Basic realm="signalbox"' : 'Bearer'
}

/** The body of every error answer. */
export function problemBody(error: SignalboxError, requestId: string): string {
  const message =
    error.code === 'internal' ? 'internal error; the server logged it under this request id' : error.message
  const details = Object.keys(error.details).length === 0 ? undefined : error.details
  return JSON.stringify({ error: { code: error.code, message, details }, requestId })
}

function problem(
  code: 'invalid_argument' | 'payload_too_large',
  message: string,
  status?: number,
): HttpProblem {
  const error = new SignalboxError(code, message)
  return { status: status ?? error.facts.http, error }
}

function clip(text: string | undefined): string {
  return text === undefined ? '' : oneLine(text).slice(0, 60)
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ')
}
