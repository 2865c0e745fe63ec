/**
 * The store between an attached process and its owner, in the frames of `wire.ts`. Every frame of the owner tells engine time.
 * `watch` is answered by `Hint`s until `stop`; `stop` has no answer and ends the watch or deleteRange of its id.
 */
import { PAGE_BYTES, type StoreLimits } from '../../ports/store.ts'
import { isObject, type Protocol } from './wire.ts'

export const PROTOCOL = 'signalbox-store/1'
/** Unanswered requests of a connection. */
export const MAX_IN_FLIGHT = 1_024
/** Pages under way on a connection: they can be large. */
export const MAX_LISTS = 16
/** Watches of a connection. */
export const MAX_WATCHES = 1_024

export type Method = 'get' | 'list' | 'commit' | 'deleteRange' | 'now' | 'watch' | 'stop'

export interface StoreHello {
  readonly limits: StoreLimits
  readonly watch: boolean
  readonly inFlight: number
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

export function isMethod(name: string): name is Method {
  return METHODS.includes(name)
}

/** The longest frame either side may send, for a store of these limits: a commit or a page, with keys and room. */
export function maxFrameBytes(limits: StoreLimits): number {
  return 2 * 1024 * 1024 + Math.max(limits.commitBytes, PAGE_BYTES + limits.valueBytes)
}

export const storeProtocol: Protocol<StoreHello> = {
  name: PROTOCOL,
  isHello: (hello): hello is StoreHello => {
    const { limits, inFlight } = hello as Partial<StoreHello>
    return isObject(limits) && Number.isInteger(inFlight)
  },
  room: ({ inFlight }) => [inFlight],
  maxRequestBytes: ({ limits }) => maxFrameBytes(limits),
  maxAnswerBytes: ({ limits }) => maxFrameBytes(limits),
}
