/**
 * What a command talks to, one rule for all: the cloud engine that was chosen (`engine.ts`), else a server:
 *
 * 1. `--url`; 2. `--data-dir`; 3. `SIGNALBOX_URL`; 4. `SIGNALBOX_DATA_DIR`; 5. `./data`; 6. http://127.0.0.1:8080.
 *
 * A data directory means the process that owns it, through its socket. One that was *named* and has no owner is an error:
 * to take turns in another store instead would let two holders work at once. Only the default directory falls through to
 * the default address, and that only if a Signalbox answers there.
 */
import { resolve } from 'node:path'
import { createClient, type Client, type ClientOptions } from '../client/client.ts'
import { githubIdTokens } from '../client/github-oidc.ts'
import type { TokenSource } from '../client/transport.ts'
import type { Clock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import { describePortOwner, findPortOwner } from '../server/port-owner.ts'
import type { Connection, ConnectOptions, ServerFace, Setting } from './context.ts'
import { chooseEngine, flagNames, type InputNames } from './engine.ts'
import { ownerSocket } from './owner-socket.ts'

export interface ConnectFacts {
  /** What relative paths start from; default: this process's directory. */
  readonly cwd?: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly random: Random
  /** What messages call the inputs; default: as the CLI's flags. */
  readonly names?: InputNames
  /** Where a server is looked for last; default 127.0.0.1:8080. */
  readonly fallback?: { readonly host: string; readonly port: number }
}

/** A client and, for people, which server it reaches. */
export interface ConnectedClient {
  readonly client: Client
  readonly describe: string
  readonly settings: readonly Setting[]
  readonly hello: ServerFace['hello']
}

const FALLBACK = { host: '127.0.0.1', port: 8080 }

/**
 * Connects by the rule above. Of servers only sockets and the default address are tried here; a URL is used as it is.
 *
 * @throws SignalboxError `unavailable` when there is no server, with how to start one; `invalid_argument` for a URL, token
 *   or engine that cannot work; `permission_denied` for another user's data directory; what `openEngine` throws
 */
export async function connect(options: ConnectOptions, facts: ConnectFacts): Promise<Connection> {
  const choice = chooseEngine(options, facts.env, facts.names)
  if (choice.backend !== 'server') return (await import('./open-engine.ts')).openEngine(choice, facts)
  const { client, describe, settings, hello } = await connectClient(options, facts)
  const server = { hello, access: client.access }
  return { turns: client.turns, describe, settings, server, close: () => client.close() }
}

/** A server, whatever SIGNALBOX_BACKEND says, with everything that it offers. */
export async function connectClient(options: ConnectOptions, facts: ConnectFacts): Promise<ConnectedClient> {
  const { env } = facts
  if (options.url !== undefined && options.dataDir !== undefined) {
    const { url, dataDir } = facts.names ?? flagNames
    throw new SignalboxError('invalid_argument', `${url} and ${dataDir}: give one of them, not both`)
  }
  const url = options.url ?? (options.dataDir === undefined ? given(env['SIGNALBOX_URL']) : undefined)
  if (url !== undefined) {
    const from = writtenOr('url', 'SIGNALBOX_URL', options, facts)
    return open({ url }, { name: 'server', value: url, from }, facts)
  }

  const named = options.dataDir ?? given(env['SIGNALBOX_DATA_DIR'])
  const dataDir = resolve(facts.cwd ?? '.', named ?? 'data')
  const socketPath = await ownerSocket(dataDir, facts.clock)
  if (socketPath !== undefined) {
    const from = named === undefined ? 'default' : writtenOr('dataDir', 'SIGNALBOX_DATA_DIR', options, facts)
    return open({ socketPath }, { name: 'owner of', value: dataDir, from }, facts)
  }
  if (named !== undefined) {
    throw new SignalboxError(
      'unavailable',
      `no server owns the data directory ${dataDir}; start one with 'signalbox serve --data-dir ${named}', or set SIGNALBOX_URL`,
    )
  }
  const { host, port } = facts.fallback ?? FALLBACK
  const owner = await findPortOwner(host, port)
  const address = `http://${host}:${port}`
  if (owner.signalbox !== undefined) {
    return open({ url: address }, { name: 'server', value: address, from: 'default' }, facts)
  }
  const taken = owner.pid === undefined ? '' : ` (at ${address} answers ${describePortOwner(owner)})`
  throw new SignalboxError(
    'unavailable',
    `no server is running${taken}; start one with 'signalbox serve' (in a clone: npm start), or set SIGNALBOX_URL`,
  )
}

function open(
  where: Pick<ClientOptions, 'url' | 'socketPath'>,
  server: Setting,
  facts: ConnectFacts,
): ConnectedClient {
  const { clock, random } = facts
  const credential = credentialOf(where, facts)
  const client = createClient({
    ...where,
    clock,
    random,
    ...(credential === undefined ? {} : { token: credential.token }),
  })
  const settings = [server, ...(credential === undefined ? [] : [credential.setting])]
  return {
    client,
    describe: where.socketPath === undefined ? server.value : `the server that owns ${server.value}`,
    settings,
    hello: async () => (await import('./hello.ts')).hello(where, clock),
  }
}

/**
 * A token of Signalbox, else an ID token of GitHub for the audience that is asked for; on the owner's socket the operating
 * system says who calls.
 *
 * @throws SignalboxError `unauthenticated` when an audience is named and the job may not have ID tokens
 */
export function credentialOf(
  { socketPath }: Pick<ClientOptions, 'socketPath'>,
  { env, clock, random }: Pick<ConnectFacts, 'env' | 'clock' | 'random'>,
): { readonly token: TokenSource; readonly setting: Setting } | undefined {
  const token = given(env['SIGNALBOX_TOKEN'])
  if (token !== undefined) {
    return { token, setting: { name: 'token', value: '********', from: 'SIGNALBOX_TOKEN' } }
  }
  const audience = given(env['SIGNALBOX_OIDC_AUDIENCE'])
  if (audience === undefined || socketPath !== undefined) return undefined
  const setting = { name: 'ID token of GitHub for', value: audience, from: 'SIGNALBOX_OIDC_AUDIENCE' }
  return { token: githubIdTokens({ env, audience, clock, random }), setting }
}

/** Where an input that is in force came from. */
function writtenOr(
  input: 'url' | 'dataDir',
  variable: string,
  options: ConnectOptions,
  { names = flagNames }: ConnectFacts,
): string {
  return options[input] === undefined ? variable : names[input]
}

/** An empty variable counts as none, as in most shells' scripts. */
export function given(value: string | undefined): string | undefined {
  return value === undefined || value.trim() === '' ? undefined : value.trim()
}
