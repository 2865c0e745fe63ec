/**
 * The contract suite of the message-queue port. Every engine runs it; what it does not check, the port does not promise.
 *
 * Invariants: tests share an engine but no queue, so the suite also runs against a shared cloud account; what an engine does
 * only approximately is skipped by the capability it declares, and by nothing else; with a manual clock nothing sleeps.
 */
import { describe, expect, it } from 'vitest'
import type { OpenMessages } from './message-context.ts'
import { deadLetterSuite } from './message-dead-letters.ts'
import { fifoSuite } from './message-fifo.ts'
import { messageLifecycleSuite } from './message-lifecycle.ts'
import { lookSuite } from './message-looks.ts'
import { pollSuite } from './message-polls.ts'
import { receiptSuite } from './message-receipts.ts'
import { receiveSuite } from './message-receives.ts'
import { sendSuite } from './message-sends.ts'

/** The suites that this file has run. */
const run: string[] = []

/** Call last in a file: an engine that was left out, or a suite that did not start, is a failure. */
export function expectMessageSuites(count: number): void {
  it(`has put ${count} message engines to the contract`, () => expect(run).toHaveLength(count))
}

export type { MessageTarget, OpenMessages } from './message-context.ts'

/**
 * Registers the suite.
 * @param open opens an engine; called for each part of the suite and once more per test that closes it.
 * @example
 * messageConformance('sqlite', async () => {
 *   const messages = sqliteMessageQueue(engine)
 *   return { messages, advance: (ms) => clock.advance(ms), close: () => messages.close() }
 * })
 */
export function messageConformance(name: string, open: OpenMessages): void {
  describe(`messages: ${name}`, () => {
    it('is put to the contract', () => void run.push(name))
    sendSuite(open)
    receiveSuite(open)
    receiptSuite(open)
    pollSuite(open)
    fifoSuite(open)
    deadLetterSuite(open)
    lookSuite(open)
    messageLifecycleSuite(open)
  })
}
