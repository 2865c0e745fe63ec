/**
 * The server's gRPC listener: which port, which TLS files, and who may call. Its libraries load only when it listens.
 */
import { readFileSync } from 'node:fs'
import type { Clock } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { Desk } from '../messages/desk.ts'
import type { MessagesServer, ServerAddress } from '../messages/grpc/server.ts'
import type { Auth } from './auth/auth.ts'
import type { Config } from './config/schema.ts'
import { checkTcpIsFree, type TcpAddress } from './listen.ts'
import type { Logger } from './logger.ts'

type GrpcKeys = Pick<Config['server'], 'host' | 'port' | 'grpcPort' | 'grpcTls'>

export interface GrpcOptions {
  readonly config: GrpcKeys
  readonly desk: Desk
  readonly auth: Auth
  readonly clock: Clock
  readonly logger: Logger
  /** What was typed, without `--grpc-port`. */
  readonly command: string
  /** The port of `auto`; default 50052. */
  readonly usualPort?: number
}

export interface GrpcListener {
  readonly server: MessagesServer
  /** `127.0.0.1:50052` */
  readonly address: string
}

const USUAL_PORT = 50_052
const FLAG = '--grpc-port'

/** Where gRPC is told to listen; undefined: nowhere, or wherever it can. */
function namedGrpcAddress({ host, grpcPort }: GrpcKeys): TcpAddress | undefined {
  return grpcPort === 'auto' || grpcPort === 'off' ? undefined : { host, port: Number(grpcPort) }
}

/** Throws what `openGrpc` would because of its port, and leaves nothing behind. */
export async function checkGrpcPortIsFree(config: GrpcKeys, command: string): Promise<void> {
  const named = namedGrpcAddress(config)
  if (named !== undefined) await checkTcpIsFree(named, command, FLAG)
}

/**
 * @returns undefined without gRPC: it is off, or its usual port is taken, which the log says then
 * @throws SignalboxError `address_in_use` of a port that was asked for, `permission_denied`, `config_invalid`
 */
export async function openGrpc(options: GrpcOptions): Promise<GrpcListener | undefined> {
  const { config, desk, auth, clock, logger, command, usualPort = USUAL_PORT } = options
  if (config.grpcPort === 'off') return undefined
  const named = namedGrpcAddress(config)
  const { host, port } = named ?? { host: config.host, port: config.port === 0 ? 0 : usualPort }
  const tls = tlsFiles(config.grpcTls)
  const goWithout = (error: unknown): undefined => {
    if (named !== undefined || !isSignalboxError(error, 'address_in_use')) throw error
    logger.warn(`without gRPC: ${error.message}`)
  }
  try {
    await checkTcpIsFree({ host, port }, command, FLAG) // it knows whom a taken port belongs to
  } catch (error) {
    return goWithout(error)
  }
  const [{ MessagesServer }, { messageCalls }, { grpcGuard }] = await Promise.all([
    import('../messages/grpc/server.ts'),
    import('../messages/grpc/access.ts'),
    import('./auth/grpc-guard.ts'),
  ])
  const server = new MessagesServer({
    desk,
    clock,
    waitMs: 0,
    guard: grpcGuard({ auth, calls: messageCalls((name) => desk.service.queueOf(name)) }),
    onTrouble: (queue, error) => logger.warn({ queue, code: error.code }, error.message),
  })
  const at = host.includes(':') ? `[${host}]` : host
  try {
    const bound = await server.listen({ address: `${at}:${port}`, ...(tls === undefined ? {} : { tls }) })
    return { server, address: `${at}:${bound}` }
  } catch (error) {
    await server.stop(0)
    return goWithout(error)
  }
}

function tlsFiles({ certificate, key, clientCa }: GrpcKeys['grpcTls']): ServerAddress['tls'] {
  if (certificate === undefined && key === undefined && clientCa === undefined) return undefined
  if (certificate === undefined || key === undefined) {
    throw new SignalboxError(
      'config_invalid',
      `server.grpcTls.${certificate === undefined ? 'certificate' : 'key'}: missing; TLS takes a certificate and its key`,
    )
  }
  return {
    certificate: read(certificate, 'certificate'),
    key: read(key, 'key'),
    ...(clientCa === undefined ? {} : { clientAuthority: read(clientCa, 'clientCa') }),
  }
}

function read(file: string, name: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new SignalboxError('config_invalid', `server.grpcTls.${name}: cannot read ${file} (${code})`, {
      cause,
    })
  }
}
