/** A message engine whose calls are counted: what each asked for, and what became of the messages. */
import type { Clock } from '../kernel/clock.ts'
import { isSignalboxError, type ErrorCode } from '../kernel/error.ts'
import type { MessageQueue } from '../ports/message-queue.ts'

export type EngineCall = 'send' | 'receive' | 'delete' | 'change_visibility'

export type MessageEvent =
  /** A call of the engine; an SDK below may repeat it. */
  | { readonly kind: 'request'; readonly call: EngineCall; readonly error?: ErrorCode }
  | { readonly kind: 'sent' | 'deleted' | 'returned' | 'lost'; readonly count: number }
  | {
      readonly kind: 'received'
      readonly count: number
      /** Of these, received before. */
      readonly again: number
      /** Of the oldest, since its send. */
      readonly ageMs: number
    }

export type MessageObserver = (event: MessageEvent) => void

/** The same engine; the calls that are not counted go straight to it. */
export function observed(engine: MessageQueue, clock: Clock, tell: MessageObserver): MessageQueue {
  const counted = async <T>(call: EngineCall, run: () => Promise<T>): Promise<T> => {
    try {
      const result = await run()
      tell({ kind: 'request', call })
      return result
    } catch (error) {
      tell({ kind: 'request', call, ...(isSignalboxError(error) ? { error: error.code } : {}) })
      throw error
    }
  }
  const tellCount = (kind: 'sent' | 'deleted' | 'returned' | 'lost', count: number): void => {
    if (count > 0) tell({ kind, count })
  }
  const count = (results: readonly { readonly status: string }[], status: string): number =>
    results.filter((result) => result.status === status).length

  const calls: Pick<MessageQueue, 'send' | 'receive' | 'delete' | 'changeVisibility'> = {
    async send(queue, messages) {
      const results = await counted('send', () => engine.send(queue, messages))
      tellCount('sent', count(results, 'sent'))
      return results
    },
    async receive(queue, options) {
      const messages = await counted('receive', () => engine.receive(queue, options))
      if (messages.length > 0) {
        const again = messages.filter(({ receiveCount }) => receiveCount > 1).length
        const ageMs = clock.now() - Math.min(...messages.map(({ sentAt }) => sentAt))
        tell({ kind: 'received', count: messages.length, again, ageMs: Math.max(0, ageMs) })
      }
      return messages
    },
    async delete(queue, receipts) {
      const results = await counted('delete', () => engine.delete(queue, receipts))
      tellCount('deleted', count(results, 'deleted'))
      tellCount('lost', count(results, 'lost'))
      return results
    },
    async changeVisibility(queue, changes) {
      const results = await counted('change_visibility', () => engine.changeVisibility(queue, changes))
      const ended = results.filter(({ status }, i) => {
        const change = changes[i]
        return status === 'changed' && (change?.nack === true || change?.visibilityMs === 0)
      })
      tellCount('returned', ended.length)
      tellCount('lost', count(results, 'lost'))
      return results
    },
  }
  // What the engine cannot do stays absent.
  return new Proxy(engine, {
    get(target, name) {
      if (Object.hasOwn(calls, name)) return calls[name as keyof typeof calls]
      const own: unknown = Reflect.get(target, name, target)
      return typeof own === 'function' ? (own.bind(target) as unknown) : own
    },
  })
}
