/**
 * How an attached process and the owner of a store talk: an HTTP/1.1 upgrade, then JSON frames, one a line.
 *
 * Owner → client: first `Hello`, then an `Answer` for each request, in any order, and `Hint`s of watches.
 * Client → owner: `Request`s, at most `inFlight` unanswered (the owner stops reading beyond that).
 * `watch` is answered by hints until `stop`; `stop` has no answer and ends the watch or deleteRange of its id.
 * An owner that goes says `Bye`: the client then ends its side, so that the owner has read all there is, answers what is
 * under way, says `again` to the rest and ends its side too. Thus a restart leaves no commit of unknown outcome.
 *
 * Invariants: a frame has no raw line feed (JSON escapes it); a frame longer than the limit, or one that is no JSON of
 * these forms, ends the connection.
 */
import { isErrorCode, SignalboxError, toSignalboxError, type ErrorCode } from '../../kernel/error.ts'
import { PAGE_BYTES, type StoreLimits } from '../../ports/store.ts'

/** The name in the `Upgrade` header. A change that old peers would misread gets a new number. */
export const PROTOCOL = 'signalbox-store/1'
/** Unanswered requests of a connection. */
export const MAX_IN_FLIGHT = 1_024
/** Pages under way on a connection: they can be large. */
export const MAX_LISTS = 16
/** Watches of a connection. */
export const MAX_WATCHES = 1_024

export type Method = 'get' | 'list' | 'commit' | 'deleteRange' | 'now' | 'watch' | 'stop'

export interface Request {
  readonly i: number
  readonly m: Method
  readonly a: readonly unknown[]
}

/** Engine time when the frame was made. */
interface Timed {
  readonly t?: number
  readonly u?: number
}

export interface Hello extends Timed {
  readonly hello: { readonly limits: StoreLimits; readonly watch: boolean; readonly inFlight: number }
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
}

export interface Hint {
  readonly i: number
  readonly h: 1
}

export interface Bye {
  readonly bye: 1
}

const METHODS: readonly string[] = [
  'get',
  'list',
  'commit',
  'deleteRange',
  'now',
  'watch',
  'stop',
] satisfies Method[]

/** The longest frame either side may send, for a store of these limits: a commit or a page, with keys and room. */
export function maxFrameBytes(limits: StoreLimits): number {
  return 2 * 1024 * 1024 + Math.max(limits.commitBytes, PAGE_BYTES + limits.valueBytes)
}

export function isRequest(frame: unknown): frame is Request {
  if (!isObject(frame)) return false
  const { i, m, a } = frame as Partial<Request>
  return Number.isSafeInteger(i) && typeof m === 'string' && METHODS.includes(m) && Array.isArray(a)
}

export function isHello(frame: unknown): frame is Hello {
  if (!isObject(frame)) return false
  const { hello } = frame as Partial<Hello>
  return isObject(hello) && isObject(hello.limits) && Number.isInteger(hello.inFlight)
}

export function isBye(frame: unknown): frame is Bye {
  return isObject(frame) && (frame as Partial<Bye>).bye === 1
}

export function isAnswerOrHint(frame: unknown): frame is Answer | Hint {
  if (!isObject(frame)) return false
  const { i, e } = frame as Partial<Answer>
  return Number.isSafeInteger(i) && (e === undefined || (isObject(e) && typeof e.message === 'string'))
}

export function toWire(error: unknown): WireError {
  const { code, message, details } = toSignalboxError(error)
  return Object.keys(details).length === 0 ? { code, message } : { code, message, details }
}

export function fromWire({ code, message, details }: WireError): SignalboxError {
  const options = details === undefined ? {} : { details }
  return new SignalboxError(isErrorCode(code) ? code : 'internal', message, options)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
