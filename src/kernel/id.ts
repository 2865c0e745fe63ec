/**
 * Randomness, handed in: ids of members and requests, jitter, inbox keys. Tests pass a seeded source.
 */
import { randomBytes } from 'node:crypto'

export interface Random {
  /** A number in [0, 1). */
  next(): number
  /** 120 random bits as 20 characters of lower-case base 32 (Crockford): safe in keys, URLs and file names. */
  id(): string
}

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const ID_LENGTH = 20

export const systemRandom: Random = {
  next: () => Math.random(),
  id: () => Array.from(randomBytes(ID_LENGTH), (byte) => ALPHABET[byte & 31]).join(''),
}

/** A reproducible source: the same seed gives the same sequence (Mulberry32). Not for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const id = (): string => Array.from({ length: ID_LENGTH }, () => ALPHABET[Math.floor(next() * 32)]).join('')
  return { next, id }
}
