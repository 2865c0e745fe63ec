/**
 * The contract suite of the store port. Every driver runs it; what it does not check, the port does not promise.
 *
 * Invariants: all tests of a suite share one store but no partition, so it also runs against a shared cloud table;
 * outside `ascii only` blocks every key is a `decimalKey`; nothing sleeps.
 */
import { describe, expect, it } from 'vitest'
import type { ConformanceOptions, OpenTarget } from './context.ts'
import { commitSuite } from './suite-commits.ts'
import { concurrencySuite } from './suite-concurrency.ts'
import { expectationSuite } from './suite-expectations.ts'
import { expirySuite } from './suite-expiry.ts'
import { lifecycleSuite } from './suite-lifecycle.ts'
import { limitSuite } from './suite-limits.ts'
import { readSuite } from './suite-reads.ts'
import { watchSuite } from './suite-watch.ts'

/** The suites that this file has run. */
const run: string[] = []

/** Call last in a file: an engine that was left out, or a suite that did not start, is a failure. */
export function expectSuites(count: number): void {
  it(`has put ${count} stores to the contract`, () => expect(run).toHaveLength(count))
}

export type { ConformanceOptions, OpenTarget } from './context.ts'

/**
 * Registers the suite.
 * @param open opens a fresh or shared store; called once for the suite and once more per test that closes it.
 * @example
 * storeConformance('memory', async () => {
 *   const store = memoryStore({ clock })
 *   return { store, advance: (ms) => clock.advance(ms), close: () => store.close() }
 * })
 */
export function storeConformance(name: string, open: OpenTarget, options: ConformanceOptions = {}): void {
  describe(`store: ${name}`, () => {
    it('is put to the contract', () => void run.push(name))
    readSuite(open, options)
    commitSuite(open, options)
    expectationSuite(open)
    limitSuite(open)
    expirySuite(open)
    concurrencySuite(open)
    if (options.watch !== false) watchSuite(open)
    lifecycleSuite(open, options)
  })
}
