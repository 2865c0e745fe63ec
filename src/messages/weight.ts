/** About how many bytes a received message takes on the wire, without encoding it. */
import type { MessageFacts } from '../ports/message-queue.ts'

const FRAME = 256

export function bytesOf({ body, attributes }: Pick<MessageFacts, 'body' | 'attributes'>): number {
  // Three bytes a character at most; ASCII, the usual case, has one.
  let bytes = FRAME + body.length
  for (const name in attributes) bytes += FRAME + (attributes[name]?.value.length ?? 0)
  return bytes
}
