/**
 * How an attached process and an owner talk, whatever they talk about: an HTTP/1.1 upgrade, then JSON frames, one a line.
 *
 * Owner → client: first `Hello`, then an `Answer` for each request, in any order.
 * Client → owner: `Request`s, no more of them unanswered than the hello allows (the owner stops reading beyond that).
 * An owner that goes says `Bye`: the client then sends nothing new and ends its side once all it sent is answered; the owner
 * answers what is under way, says `again` to the rest, and ends its side when it has read the client's end. Thus a
 * restart leaves nothing of unknown outcome.
 *
 * Invariants: a frame has no raw line feed (JSON escapes it); a frame longer than the limit, or one that is no JSON of
 * these forms, ends the connection.
 */
import { isErrorCode, SignalboxError, toSignalboxError, type ErrorCode } from '../../kernel/error.ts'

export interface Request {
  readonly i: number
  readonly m: string
  readonly a: readonly unknown[]
}

/** Engine time when the frame was made, where the owner tells it. */
interface Timed {
  readonly t?: number
  readonly u?: number
}

export interface Hello<H = object> extends Timed {
  readonly hello: H
}

export interface WireError {
  readonly code: ErrorCode
  readonly message: string
  readonly details?: SignalboxError['details']
}

/** `r` is absent where the method answers undefined. */
export interface Answer extends Timed {
  readonly i: number
  readonly r?: unknown
  readonly e?: WireError
  /** Nothing was done, the owner is going: ask its successor. */
  readonly again?: 1
  /** Say what became of it: `got` when a caller has it, `stop` when nobody wants it. */
  readonly k?: 1
}

/** Of a watch. */
export interface Hint {
  readonly i: number
  readonly h: 1
}

export interface Bye {
  readonly bye: 1
}

/** What is particular to one of the ports that are served this way. */
export interface Protocol<H extends object = object> {
  /** The name in the `Upgrade` header. A change that old peers would misread gets a new number. */
  readonly name: string
  readonly isHello: (hello: object) => hello is H
  /** How many requests may be unanswered, for each lane of calls. */
  readonly room: (hello: H) => readonly number[]
  /** The longest frame the client may send. */
  readonly maxRequestBytes: (hello: H) => number
  /** The longest frame the owner may send. */
  readonly maxAnswerBytes: (hello: H) => number
}

export function isRequest(frame: unknown): frame is Request {
  if (!isObject(frame)) return false
  const { i, m, a } = frame as Partial<Request>
  return Number.isSafeInteger(i) && typeof m === 'string' && Array.isArray(a)
}

export function isHelloOf<H extends object>(frame: unknown, protocol: Protocol<H>): frame is Hello<H> {
  if (!isObject(frame)) return false
  const { hello } = frame as Partial<Hello>
  return isObject(hello) && protocol.isHello(hello)
}

export function isBye(frame: unknown): frame is Bye {
  return isObject(frame) && (frame as Partial<Bye>).bye === 1
}

export function isAnswerOrHint(frame: unknown): frame is Answer | Hint {
  if (!isObject(frame)) return false
  const { i, e } = frame as Partial<Answer>
  return Number.isSafeInteger(i) && (e === undefined || isWireError(e))
}

export function isWireError(value: unknown): value is WireError {
  return isObject(value) && typeof (value as Partial<WireError>).message === 'string'
}

export function toWire(error: unknown): WireError {
  const { code, message, details } = toSignalboxError(error)
  return Object.keys(details).length === 0 ? { code, message } : { code, message, details }
}

export function fromWire({ code, message, details }: WireError): SignalboxError {
  const options = details === undefined ? {} : { details }
  return new SignalboxError(isErrorCode(code) ? code : 'internal', message, options)
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
