/**
 * Name and password (RFC 7617) for the lease routes, whose existing clients send them. Such a user is an operator of leases and
 * nothing else.
 *
 * Invariant: how long a refusal takes tells nothing about names or passwords; both are compared as hashes.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { SignalboxError } from '../../kernel/error.ts'
import type { Principal } from '../../ports/access.ts'

/** Passwords by name. */
export type BasicUsers = Readonly<Record<string, string>>

const NOBODY = hash('')

export function basicAuth(users: BasicUsers): (header: string | undefined) => Principal | undefined {
  const known = new Map(Object.entries(users).map(([name, password]) => [name, hash(password)]))
  return (header) => {
    const [, encoded] = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(header ?? '') ?? []
    if (encoded === undefined || known.size === 0) return undefined
    const text = Buffer.from(encoded, 'base64').toString('utf8')
    const colon = text.indexOf(':')
    const name = colon < 0 ? text : text.slice(0, colon)
    const wanted = known.get(name)
    const right = timingSafeEqual(hash(text.slice(colon + 1)), wanted ?? NOBODY)
    if (wanted === undefined || colon < 0 || !right) {
      throw new SignalboxError(
        'unauthenticated',
        'name or password is wrong; auth.basic.users of the configuration lists them',
      )
    }
    return { name, kind: 'user', role: 'operator', scopes: ['leases:*'] }
  }
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
