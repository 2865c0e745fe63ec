/** Returns received messages to their queue, visible at once, because nobody will work on them. */
import { isTransient } from '../kernel/attempt.ts'
import { sleep, type Clock } from '../kernel/clock.ts'
import type { MessageQueue, ReceivedMessage } from '../ports/message-queue.ts'

interface Parts {
  readonly engine: Pick<MessageQueue, 'changeVisibility' | 'limits'>
  readonly clock: Clock
}

const RETRY_MS = 100
/** The last pause: some 13 s together, since a process that stops waits for this. */
const LAST_RETRY_MS = 6_400

/** What cannot be returned becomes visible when its visibility ends. Never rejects. @param uncounted nobody saw them: this receive was no attempt */
export async function giveBack(
  { engine, clock }: Parts,
  queue: string,
  messages: readonly Pick<ReceivedMessage, 'receipt' | 'deadline'>[],
  uncounted = false,
): Promise<void> {
  const { batchEntries } = engine.limits
  let left = messages
  for (let delayMs = RETRY_MS; left.length > 0 && delayMs <= LAST_RETRY_MS; delayMs *= 2) {
    const failed: (typeof messages)[number][] = []
    for (let i = 0; i < left.length; i += batchEntries) {
      const batch = left.slice(i, i + batchEntries)
      const changes = batch.map(({ receipt }) => ({
        receipt,
        visibilityMs: 0,
        nack: true,
        ...(uncounted ? { uncounted } : {}),
      }))
      try {
        const results = await engine.changeVisibility(queue, changes)
        failed.push(
          ...batch.filter((_, at) => {
            const result = results[at]
            return result?.status === 'failed' && isTransient(result.error)
          }),
        )
      } catch (error) {
        if (isTransient(error)) failed.push(...batch)
      }
    }
    const until = clock.now() + delayMs
    left = failed.filter(({ deadline }) => deadline > until)
    if (left.length > 0) await sleep(clock, delayMs)
  }
}
