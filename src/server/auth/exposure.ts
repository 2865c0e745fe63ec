/**
 * When everybody must sign in, and the refusal to listen beyond this machine while nobody could.
 *
 * What counts is where the server listens, not where a connection comes from: behind a proxy on the same machine the whole
 * world comes from 127.0.0.1.
 */
import { userInfo } from 'node:os'
import { SignalboxError } from '../../kernel/error.ts'
import { isLoopback, type Config } from '../config/schema.ts'

/** Must callers present a token? A public address counts as being reachable from elsewhere. */
export function authRequired({ auth, host, insecure, publicUrl }: Config['server']): boolean {
  if (auth === 'required') return true
  if (insecure) return false
  return !isLoopback(host) || (publicUrl !== undefined && !isLoopback(hostOf(publicUrl)))
}

/**
 * @param anyValidToken is there one with which somebody can sign in?
 * @throws SignalboxError `config_invalid`, with how to create the first token
 */
export async function checkExposure(
  { host, insecure }: Config['server'],
  dataDir: string,
  anyValidToken: () => Promise<boolean>,
): Promise<void> {
  if (insecure || isLoopback(host) || (await anyValidToken())) return
  throw new SignalboxError(
    'config_invalid',
    `server.host: '${host}' listens beyond this machine, and there is no token yet to sign in with; start with --host 127.0.0.1 first and create one: 'signalbox token create --name admin --role admin --data-dir ${dataDir}'; or say --insecure (server.insecure: true) if the network is protected otherwise`,
    { details: { field: 'server.host' } },
  )
}

/** Who runs this process, as the audit log names callers on the owner's socket. */
export function ownerName(): string {
  try {
    return userInfo().username
  } catch {
    return `uid-${process.getuid?.() ?? 'unknown'}` // a container's user without an entry in /etc/passwd
  }
}

function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[(.*)\]$/, '$1')
}
