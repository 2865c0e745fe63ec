/** What a channel is to the service: something that takes an event, or says why not. */
import type { Event } from './event.ts'
import type { ChannelType } from './vocabulary.ts'

export type Sent =
  /** `warning`: taken, but not wholly. */
  | { readonly ok: true; readonly warning?: string }
  | {
      readonly ok: false
      /** In one line, without secrets. */
      readonly error: string
      /** The receiver asks for so long a pause. */
      readonly retryAfterMs?: number
      /** `message`: the receiver works, but does not take this one. */
      readonly fault: 'channel' | 'message'
      /** It will hardly work soon: something has to be mended first. */
      readonly slow?: true
    }

/** May reject, which counts as a failure of the channel. `atMs`: when this try is made, by the store's clock. */
export type Sender = (event: Event, atMs: number, signal: AbortSignal) => Promise<Sent>

export interface Channel {
  readonly name: string
  readonly type: ChannelType
  /** Where it leads to, without what is secret of that. */
  readonly target: string
  readonly send: Sender
  /** How long a try may take; default 10 s, 40 s at most (a message is leased for a minute). */
  readonly tryMs?: number
}
