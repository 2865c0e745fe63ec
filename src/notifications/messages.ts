/** What may become of a message, as changes of one commit that expects what was read. Pure. The first change is the message's own. */
import type { Change } from '../ports/store.ts'
import {
  asJson,
  GIVEN_UP_KEPT_MS,
  givenUpKey,
  messageChange,
  messageKey,
  msOf,
  outChange,
  outKey,
  type Message,
} from './records.ts'

/** From its place in `out`, if it has one, to that of `after`; with none it is deleted. */
export function moved(before: Message, after: Message | undefined, version: string): Change[] {
  const expect = { version }
  return [
    after === undefined ? { op: 'delete', key: messageKey(before.id), expect } : messageChange(after, expect),
    ...leaving(before),
    ...(after?.due === undefined ? [] : [outChange(after, after.due)]),
  ]
}

export function giveUpChanges(
  message: Message,
  { version, error, key }: { readonly version: string; readonly error: string; readonly key: number },
): Change[] {
  const { due: _, ...rest } = message
  const dead: Message = { ...rest, lastError: error, givenUp: key }
  const index: Change = {
    op: 'put',
    key: givenUpKey(key),
    expect: 'absent',
    value: asJson({ id: message.id, since: message.since }),
    expiresAt: msOf(key) + GIVEN_UP_KEPT_MS,
  }
  return [messageChange(dead, { version }), ...leaving(message), index]
}

/** Takes it out of where it is found: `out`, or what was given up. */
function leaving({ channel, due, givenUp }: Message): Change[] {
  const key = due === undefined ? undefined : outKey(channel, due)
  const index = givenUp === undefined ? undefined : givenUpKey(givenUp)
  return [key, index].flatMap((one) =>
    one === undefined ? [] : [{ op: 'delete' as const, key: one, expect: 'present' as const }],
  )
}
