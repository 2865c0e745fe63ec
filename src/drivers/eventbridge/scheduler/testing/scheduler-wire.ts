/** How EventBridge Scheduler's API looks on the wire: REST with JSON, and errors by their header. For the fake. */
import { Readable } from 'node:stream'

export interface HttpRequest {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
}

export interface Call {
  readonly operation: string
  /** Schedule, group or ARN. */
  readonly name: string
  readonly query: Readonly<Record<string, string>>
  readonly body: Readonly<Record<string, unknown>>
}

export class Refusal extends Error {
  readonly status: number

  constructor(name: string, message: string, status: number) {
    super(message)
    this.name = name
    this.status = status
  }
}

const ROUTES: readonly (readonly [method: string, path: RegExp, operation: string])[] = [
  ['GET', /^\/schedules$/, 'ListSchedules'],
  ['GET', /^\/schedules\/(.+)$/, 'GetSchedule'],
  ['POST', /^\/schedules\/(.+)$/, 'CreateSchedule'],
  ['PUT', /^\/schedules\/(.+)$/, 'UpdateSchedule'],
  ['DELETE', /^\/schedules\/(.+)$/, 'DeleteSchedule'],
  ['GET', /^\/schedule-groups\/(.+)$/, 'GetScheduleGroup'],
  ['POST', /^\/schedule-groups\/(.+)$/, 'CreateScheduleGroup'],
  ['DELETE', /^\/schedule-groups\/(.+)$/, 'DeleteScheduleGroup'],
  ['GET', /^\/tags\/(.+)$/, 'ListTagsForResource'],
  ['POST', /^\/tags\/(.+)$/, 'TagResource'],
]

export function route({ method, path, query, body }: HttpRequest): Call {
  for (const [verb, pattern, operation] of ROUTES) {
    const match = verb === method ? pattern.exec(path) : null
    if (match === null) continue
    const text = typeof body === 'string' ? body : new TextDecoder().decode(body ?? new Uint8Array())
    const said = text === '' ? {} : (JSON.parse(text) as Call['body'])
    return { operation, name: decodeURIComponent(match[1] ?? ''), query, body: said }
  }
  throw new Refusal('UnknownOperationException', `${method} ${path}`, 404)
}

/** As the SDK's `requestHandler` gives it. @param output the body, or why there is none */
export function answered(output: object): { readonly response: unknown } {
  const refused = output instanceof Refusal
  const headers = refused ? { 'x-amzn-errortype': output.name } : {}
  const text = JSON.stringify(refused ? { Message: output.message } : output)
  const statusCode = refused ? output.status : 200
  return { response: { statusCode, headers, body: Readable.from([Buffer.from(text)]) } }
}

export function absent(message: string): Refusal {
  return new Refusal('ResourceNotFoundException', message, 404)
}

export function conflict(message: string): Refusal {
  return new Refusal('ConflictException', message, 409)
}

export function invalid(message: string): Refusal {
  return new Refusal('ValidationException', message, 400)
}
