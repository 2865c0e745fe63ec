/**
 * When everybody must sign in, and the refusal to listen beyond this machine while nobody could.
 *
 * What counts is where the server listens, not where a connection comes from: behind a proxy on the same machine the whole
 * world comes from 127.0.0.1. On the owner's socket nobody has to sign in; a server on a shared store has none, so there it is
 * also refused to ask for tokens while there is none.
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

export interface Exposure {
  readonly server: Config['server']
  /** Where the owner's socket is; undefined when there is none. */
  readonly dataDir: string | undefined
  /** Is there a token, a user or an issuer with which somebody can sign in? */
  readonly canSignIn: () => Promise<boolean>
}

/** @throws SignalboxError `config_invalid`, with how to create the first token */
export async function checkExposure({ server, dataDir, canSignIn }: Exposure): Promise<void> {
  const { host, insecure, port } = server
  const locked = dataDir === undefined && authRequired(server)
  if ((!locked && (insecure || isLoopback(host))) || (await canSignIn())) return
  const create = 'signalbox token create --name admin --role admin'
  const [what, otherwise] = isLoopback(host)
    ? ['asks for tokens', '']
    : [
        'listens beyond this machine',
        '; or say --insecure (server.insecure: true) if the network is protected otherwise',
      ]
  const first =
    dataDir === undefined
      ? `start one with --host 127.0.0.1 --auth auto and without a public URL first, and create one: '${create} --url http://127.0.0.1:${port}'`
      : `start with --host 127.0.0.1 first and create one: '${create} --data-dir ${dataDir}'`
  throw new SignalboxError(
    'config_invalid',
    `server.host: '${host}' ${what}, and there is no token yet to sign in with; ${first}${otherwise}`,
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
