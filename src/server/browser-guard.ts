/**
 * Keeps web pages from driving a server that trusts its machine. While nobody has to sign in, a page in the user's
 * browser could otherwise send commands to 127.0.0.1, directly (cross-site request) or under a name of its own that
 * resolves to 127.0.0.1 (DNS rebinding).
 *
 * Rules: a request that changes something must not come from another site (`Sec-Fetch-Site`, else `Origin`); on a
 * loopback listener the `Host` header must be a loopback name or the public one.
 */
import type { IncomingMessage } from 'node:http'
import { SignalboxError } from '../kernel/error.ts'
import type { Config } from './config/schema.ts'
import { isLoopback } from './config/schema.ts'

/** @returns a check for each request that came over TCP; it gives the refusal, if there must be one. */
export function browserGuard(
  server: Config['server'],
): (request: IncomingMessage) => SignalboxError | undefined {
  const publicHost = server.publicUrl === undefined ? undefined : new URL(server.publicUrl).host
  const checkHost = isLoopback(server.host)
  const accepted = new Set<string>() // headers seen and found good: the usual case costs one look-up

  const hostIsOurs = (header: string): boolean => {
    if (accepted.has(header)) return true
    const name = header
      .replace(/:\d+$/, '')
      .replace(/^\[(.*)\]$/, '$1')
      .toLowerCase()
    const ours = isLoopback(name) || name.endsWith('.localhost') || header.toLowerCase() === publicHost
    if (ours && accepted.size < 100) accepted.add(header)
    return ours
  }

  return ({ method, headers }) => {
    const host = headers.host ?? ''
    if (checkHost && !hostIsOurs(host)) {
      return new SignalboxError(
        'permission_denied',
        `host '${host.slice(0, 60)}' is not this server's; call it by 127.0.0.1, or set server.publicUrl to the address people use`,
      )
    }
    if (method === 'GET' || method === 'HEAD' || !fromElsewhere(headers, host, server.publicUrl))
      return undefined
    return new SignalboxError('permission_denied', 'a page of another site may not change anything here')
  }
}

function fromElsewhere(headers: IncomingMessage['headers'], host: string, publicUrl?: string): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined) return site !== 'same-origin' && site !== 'none'
  const { origin } = headers
  if (origin === undefined) return false // not a browser
  return origin !== publicUrl && origin !== `http://${host}` && origin !== `https://${host}`
}
