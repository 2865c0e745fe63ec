/**
 * Puts a sidecar together: engine, service, gRPC, and HTTP if it is wanted.
 *
 * Stop: NOT_SERVING and no new receives at once → what is with clients may be settled, for the grace at most → the rest goes back
 * to its queue → engine closed. What was acknowledged is durable before that.
 */
import { pino, stdTimeFunctions, destination, type DestinationStream, type Logger } from 'pino'
import type { Registry } from 'prom-client'
import type { Clock } from '../../kernel/clock.ts'
import type { Random } from '../../kernel/id.ts'
import { Desk } from '../../messages/desk.ts'
import { MessagesServer } from '../../messages/grpc/server.ts'
import { allIsRead } from '../../messages/grpc/unary.ts'
import type { sqsRequestMetric } from '../../messages/grpc/metrics.ts'
import type { MessageObserver } from '../../messages/observed.ts'
import { MessagesService } from '../../messages/service.ts'
import { version } from '../../version.ts'
import { openMessages } from './engine.ts'
import type { SidecarSettings } from './settings.ts'
import { removeStaleSocket } from './stale-socket.ts'
import { SidecarWeb, type SidecarWebOptions } from './web.ts'

interface Parts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

type WebParts = Pick<SidecarWebOptions, 'desk' | 'logger' | 'clock'> & {
  readonly registry: Registry | undefined
}

export interface RunningSidecar {
  /** `127.0.0.1:50051` */
  readonly address: string
  close(): Promise<void>
}

/** One JSON object a line, with the keys of the reference's sidecar: level, function, time, message. */
export function sidecarLogger(
  level: SidecarSettings['logLevel'],
  out: DestinationStream = destination({ dest: 1, sync: true }),
): Logger {
  return pino(
    {
      level,
      base: null,
      messageKey: 'message',
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    out,
  )
}

export async function startSidecar(settings: SidecarSettings, parts: Parts): Promise<RunningSidecar> {
  const { clock, random, logger } = parts
  await using started = new AsyncDisposableStack()
  let grpc: MessagesServer | undefined
  const metrics =
    settings.httpPort === undefined
      ? undefined
      : await loadMetrics(settings.engine.kind, () => grpc?.inFlight ?? 0)
  const opened = await openMessages(settings.engine, { ...parts, onRequest: metrics?.onRequest })
  started.defer(() => opened.close())

  const { queue, queues } = settings
  const service = new MessagesService({
    engine: opened.engine,
    clock,
    random,
    queues,
    defaultQueue: queue,
    ...(metrics === undefined ? {} : { onEvent: metrics.onEvent }),
  })
  // Others use the queues of the data directory too, past this service.
  if (settings.engine.kind === 'sqlite') await service.declareAll()
  const desk = new Desk(service, clock, allIsRead)
  const debug = logger.isLevelEnabled('debug')
  const server = new MessagesServer({
    desk,
    clock,
    waitMs: settings.waitMs,
    logBodies: settings.logBodies,
    ...(debug ? { log: (call, text) => logger.debug({ function: call }, text()) } : {}),
    onTrouble: (name, error) => logger.warn({ queue: name, code: error.code }, error.message),
  })
  grpc = server
  started.defer(() => server.stop(0))
  const [, socket] = /^unix:(.*)$/s.exec(settings.address) ?? []
  if (socket !== undefined) await removeStaleSocket(socket)
  const port = await server.listen({
    address: settings.address,
    ...(settings.tls === undefined ? {} : { tls: settings.tls }),
  })
  const address = settings.address.startsWith('unix:')
    ? settings.address
    : settings.address.replace(/:\d+$/, `:${port}`)
  const web = await openWeb(settings, { desk, registry: metrics?.registry, logger, clock })
  started.defer(() => web?.web.close())

  logger.info(
    { address, queue, ...(web === undefined ? {} : { http: web.url }), ...opened.facts },
    `Signalbox sidecar ${version} is ready`,
  )
  const running = started.move()
  let closed: Promise<void> | undefined
  const close = async (): Promise<void> => {
    logger.info('stopping')
    try {
      await server.stop(settings.graceMs)
    } finally {
      await running.disposeAsync()
    }
    logger.info('stopped')
  }
  return { address, close: () => (closed ??= close()) }
}

/** Loaded only where they can be asked for: they take memory. */
async function loadMetrics(
  engine: SidecarSettings['engine']['kind'],
  inFlight: () => number,
): Promise<{
  readonly registry: Registry
  readonly onEvent: MessageObserver
  readonly onRequest: ReturnType<typeof sqsRequestMetric> | undefined
}> {
  const [{ Registry }, { messageMetrics, sqsRequestMetric: requests }] = await Promise.all([
    import('prom-client'),
    import('../../messages/grpc/metrics.ts'),
  ])
  const registry = new Registry()
  return {
    registry,
    onEvent: messageMetrics(registry, inFlight),
    onRequest: engine === 'sqs' ? requests(registry) : undefined,
  }
}

async function openWeb(
  { host, httpPort }: SidecarSettings,
  { registry, ...parts }: WebParts,
): Promise<{ readonly web: SidecarWeb; readonly url: string } | undefined> {
  if (httpPort === undefined || registry === undefined) return undefined
  const web = new SidecarWeb({ ...parts, registry, address: { host, port: httpPort } })
  const bound = await web.listen()
  return { web, url: `http://${bound.host.includes(':') ? `[${bound.host}]` : bound.host}:${bound.port}` }
}
