/** Messages and results as the HTTP API writes them, and as the port has them. A `Binary` attribute's value is base64 there. */
import { SignalboxError, type ErrorCode } from '../kernel/error.ts'
import type { MessageAttributes, OutgoingMessage, OutgoingView } from '../messages/api.ts'

const BINARY = /^Binary(?:\.|$)/

type AttributesView = NonNullable<OutgoingView['attributes']>

/** @param message right in every respect */
export function toView(message: OutgoingMessage): OutgoingView {
  const { attributes, ...rest } = message
  return attributes === undefined ? rest : { ...rest, attributes: viewOf(attributes) }
}

export function fromView<T extends { readonly attributes: AttributesView }>(
  message: T,
): Given<Omit<T, 'attributes'>> & { readonly attributes: MessageAttributes } {
  return { ...given(message), attributes: attributesOf(message.attributes) }
}

type FailedView = {
  readonly status: 'failed'
  readonly error: { readonly code: ErrorCode; readonly message: string }
}

/** A result of a batch's entry. */
export function entry<T extends { readonly status: string }>(
  view: T | FailedView,
): Given<Exclude<T, FailedView>> | { readonly status: 'failed'; readonly error: SignalboxError } {
  if (!isFailed(view)) return given(view as Exclude<T, FailedView>)
  return { status: 'failed', error: new SignalboxError(view.error.code, view.error.message) }
}

function isFailed(view: { readonly status: string }): view is FailedView {
  return view.status === 'failed'
}

/** What is absent in the port's types is absent, not undefined. */
export type Given<T> = T extends object ? { [K in keyof T]: Exclude<T[K], undefined> } : never

/** Without the keys that are there and undefined. */
export function given<T extends object>(value: T): Given<T> {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as Given<T>
}

function viewOf(attributes: MessageAttributes): AttributesView {
  return Object.fromEntries(
    Object.entries(attributes).map(([name, { type, value }]) => [
      name,
      { type, value: typeof value === 'string' ? value : Buffer.from(value).toString('base64') },
    ]),
  )
}

function attributesOf(view: AttributesView): MessageAttributes {
  return Object.fromEntries(
    Object.entries(view).map(([name, { type, value }]) => [
      name,
      { type, value: BINARY.test(type) ? Uint8Array.from(Buffer.from(value, 'base64')) : value },
    ]),
  )
}
