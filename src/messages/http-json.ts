/** Between messages as the port has them and their JSON over HTTP: a `Binary` attribute's value is base64. */
import type { MessageAttributes, MessageFacts, OutgoingMessage } from '../ports/message-queue.ts'
import type { OutgoingView } from './api.ts'

/** Without the keys that are there and undefined. */
export function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const given = Object.entries(value).filter(([, each]) => each !== undefined)
  return Object.fromEntries(given) as { [K in keyof T]: Exclude<T[K], undefined> }
}

/** Results of entries as JSON: of an error, its code and message. */
export function entry<T extends { readonly status: string }>(result: T): T {
  if (!('error' in result)) return result
  const { code, message } = result.error as { code: string; message: string }
  return { ...result, error: { code, message } }
}

export function outgoing({ attributes, ...message }: OutgoingView): OutgoingMessage {
  const given = Object.fromEntries(Object.entries(message).filter(([, value]) => value !== undefined))
  if (attributes === undefined) return given as unknown as OutgoingMessage
  const decoded: MessageAttributes = Object.fromEntries(
    Object.entries(attributes).map(([name, { type, value }]) => [
      name,
      { type, value: /^Binary(\.|$)/.test(type) ? Buffer.from(value, 'base64') : value },
    ]),
  )
  return { ...given, attributes: decoded } as OutgoingMessage
}

export function readable({ attributes }: Pick<MessageFacts, 'attributes'>) {
  const encoded = Object.entries(attributes).map(([name, { type, value }]) => [
    name,
    { type, value: typeof value === 'string' ? value : Buffer.from(value).toString('base64') },
  ])
  return { attributes: Object.fromEntries(encoded) as Record<string, { type: string; value: string }> }
}
