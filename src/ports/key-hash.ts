/** Names as keys for stores whose keys are numbers: `decimalKey(keyHash(name))`. Who uses it checks the name in the record, for two may have one hash. */
import { createHash } from 'node:crypto'

/** A number of 15 digits at most; the same for ever, for records are found by it. */
export function keyHash(text: string): number {
  return createHash('sha256').update(text).digest().readUIntBE(0, 6) % 10 ** 15
}
