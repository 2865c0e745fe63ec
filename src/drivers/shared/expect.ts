/** What an expectation means; the engines that evaluate expectations themselves say the same in their own language. */
import type { Expect, Version } from '../../ports/store.ts'

/** @param version of the record as it reads now; undefined when absent or expired. */
export function holds(expect: Expect, version: Version | undefined): boolean {
  if (expect === 'absent') return version === undefined
  if (expect === 'present') return version !== undefined
  return version === expect.version
}
