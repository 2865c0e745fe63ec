/**
 * Where `signalbox messages` finds its queues: as every command (`connect.ts`), and beyond it over gRPC, at a server or a sidecar:
 * `grpc://`, `grpcs://` with TLS, `unix:` for a sidecar's socket; APP_PORT means `grpc://127.0.0.1:PORT` to this command
 * alone, after SIGNALBOX_URL.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { SignalboxError } from '../kernel/error.ts'
import type { GrpcTarget } from '../messages/cli/over-grpc.ts'
import { connectClient, credentialOf, given, type ConnectFacts } from './connect.ts'
import type { MessagesConnection, MessagesWhere } from './context.ts'
import { invalidInput } from './inputs.ts'

/** @throws SignalboxError `unavailable` when there is no server, with how to start one; `invalid_argument`, `permission_denied` */
export async function connectMessages(
  where: MessagesWhere,
  facts: ConnectFacts,
): Promise<MessagesConnection> {
  const { env } = facts
  const appPort = given(env['APP_PORT'])
  const local = appPort === undefined ? undefined : `grpc://127.0.0.1:${appPort}`
  const url = where.url ?? (where.dataDir === undefined ? (given(env['SIGNALBOX_URL']) ?? local) : undefined)
  if (url === undefined || !/^(?:grpcs?|unix):/.test(url)) {
    if (where.tlsCa !== undefined) {
      throw invalidInput(
        '--tls-ca',
        '--tls-ca: is for grpcs:// addresses; for https:// set NODE_EXTRA_CA_CERTS',
      )
    }
    const { client } = await connectClient(where, facts)
    return { messages: client.messages, close: () => client.close() }
  }
  if (where.dataDir !== undefined) {
    throw new SignalboxError('invalid_argument', '--url and --data-dir: give one of them, not both')
  }
  const target = grpcTarget(url, where, facts)
  const { messagesOverGrpc } = await import('../messages/cli/over-grpc.ts')
  const messages = messagesOverGrpc(target)
  return { messages, close: async () => messages.close() }
}

function grpcTarget(url: string, { tlsCa }: MessagesWhere, facts: ConnectFacts): GrpcTarget {
  const { clock, cwd = '.' } = facts
  const [, scheme = '', rest = ''] = /^(\w+):(.*)$/s.exec(url) ?? []
  const tls = scheme === 'grpcs'
  if (tlsCa !== undefined && !tls) {
    throw invalidInput(
      '--tls-ca',
      `--tls-ca: is for grpcs:// addresses, and this one is '${url.slice(0, 80)}'`,
    )
  }
  const address =
    scheme === 'unix' ? `unix:${resolve(cwd, rest.replace(/^\/\//, ''))}` : hostAndPort(url, rest)
  const credential = credentialOf({}, facts)?.token
  return {
    address,
    clock,
    ...(tls ? { tls: tlsCa === undefined ? {} : { authority: readAuthority(resolve(cwd, tlsCa)) } } : {}),
    ...(credential === undefined
      ? {}
      : { token: async () => (typeof credential === 'string' ? credential : credential()) }),
  }
}

function hostAndPort(url: string, rest: string): string {
  const [, address] = /^\/\/((?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):\d{1,5})\/?$/.exec(rest) ?? []
  if (address !== undefined) return address
  const what = `'${url.slice(0, 80)}' is not an address; write for example grpc://127.0.0.1:50052`
  throw invalidInput('--url', `--url: ${what}`)
}

function readAuthority(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new SignalboxError('invalid_argument', `--tls-ca: cannot read ${file} (${code})`, { cause })
  }
}
