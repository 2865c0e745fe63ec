/**
 * What may go wrong between a service and its message engine, on purpose: a port around a port, for tests of services.
 *
 * Invariants: a fault never breaks the port's contract (what throws `throttled` or `unavailable` was not applied); scripted
 * faults go before drawn ones; without any, a call passes as it is and draws no random number.
 */
import { SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import type { MessageQueue } from '../../ports/message-queue.ts'

/**
 * - `throttled`, `unavailable`: not applied
 * - `lostBefore`: not applied, `lostAfter`: applied; both throw `outcome_unknown`
 */
export type MessageFault = 'throttled' | 'unavailable' | 'lostBefore' | 'lostAfter'

/** The calls that can fail. */
export type MessageCall = 'send' | 'receive' | 'delete' | 'changeVisibility' | 'stats' | 'purge'

const ORDER = ['throttled', 'unavailable', 'lostBefore', 'lostAfter'] as const

export interface FaultyMessages {
  readonly messages: MessageQueue
  /** Scripts the next calls of a kind, one entry each; `none` lets one pass. */
  next(call: MessageCall, ...script: readonly (MessageFault | 'none')[]): void
  /** Probabilities from 0 to 1, tried in the order of `MessageFault`. May be replaced at any time. */
  plan: Partial<Record<MessageFault, number>>
}

/**
 * Puts faults between a caller and an engine.
 * @example
 * const faulty = faultyMessages(engine, seededRandom(1))
 * faulty.next('delete', 'lostAfter')
 */
export function faultyMessages(inner: MessageQueue, random: Random): FaultyMessages {
  const scripts = new Map<MessageCall, (MessageFault | 'none')[]>()
  const draw = (call: MessageCall): MessageFault | undefined => {
    const scripted = scripts.get(call)?.shift()
    if (scripted !== undefined) return scripted === 'none' ? undefined : scripted
    return ORDER.find((fault) => (faulty.plan[fault] ?? 0) > 0 && random.next() < (faulty.plan[fault] ?? 0))
  }
  const play = async <T>(call: MessageCall, run: () => Promise<T>): Promise<T> => {
    const fault = draw(call)
    if (fault === undefined) return run()
    if (fault === 'lostAfter') await run()
    const code = fault === 'throttled' || fault === 'unavailable' ? fault : 'outcome_unknown'
    throw new SignalboxError(code, `injected: ${fault} (${call})`)
  }
  const messages: MessageQueue = {
    limits: inner.limits,
    capabilities: inner.capabilities,
    declareQueue: (queue, options) => inner.declareQueue(queue, options),
    describeQueue: (queue) => inner.describeQueue(queue),
    listQueues: () => inner.listQueues(),
    send: (queue, batch) => play('send', () => inner.send(queue, batch)),
    receive: (queue, options) => play('receive', () => inner.receive(queue, options)),
    delete: (queue, receipts) => play('delete', () => inner.delete(queue, receipts)),
    changeVisibility: (queue, changes) =>
      play('changeVisibility', () => inner.changeVisibility(queue, changes)),
    stats: (queue) => play('stats', () => inner.stats(queue)),
    purge: (queue) => play('purge', () => inner.purge(queue)),
    ...(inner.peek === undefined ? {} : { peek: inner.peek.bind(inner) }),
    ...(inner.redrive === undefined ? {} : { redrive: inner.redrive.bind(inner) }),
    close: () => inner.close(),
  }
  const faulty: FaultyMessages = {
    messages,
    plan: {},
    next: (call, ...script) => void scripts.set(call, [...(scripts.get(call) ?? []), ...script]),
  }
  return faulty
}
