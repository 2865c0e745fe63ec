/**
 * The message capability of a server: which engine, the queues of the configuration, the HTTP face, and gRPC (`grpc.ts`).
 *
 * Stop: waiting receives answer at once and no new ones are taken → what gRPC clients hold may be settled within the grace, the
 * rest goes back to its queue → what is being given back is, before the engine closes.
 */
import type { Registry } from 'prom-client'
import type { Clock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import { Desk } from '../messages/desk.ts'
import { messageMetrics, sqsRequestMetric } from '../messages/grpc/metrics.ts'
import { allIsRead } from '../messages/grpc/unary.ts'
import { messagesFace } from '../messages/http.ts'
import { MessagesService } from '../messages/service.ts'
import { queueDefaults, type MessageQueue, type QueueOptions } from '../ports/message-queue.ts'
import type { RouteFace } from './app.ts'
import type { Auth } from './auth/auth.ts'
import type { Config } from './config/schema.ts'
import { openGrpc, type GrpcListener } from './grpc.ts'
import type { Logger } from './logger.ts'

type MessageKeys = Pick<Config, 'messages' | 'store'>

export interface ServerMessagesOptions {
  readonly config: MessageKeys & Pick<Config, 'server'>
  /** The embedded engine, where this process owns one. */
  readonly embedded: MessageQueue | undefined
  readonly clock: Clock
  readonly random: Random
  readonly registry: Registry
  readonly logger: Logger
}

export interface ServerMessages {
  readonly engine: MessageQueue
  readonly face: RouteFace
  /** For the log. */
  readonly facts: Readonly<Record<string, string>>
  /** Listens with gRPC, if the configuration says so. @param command what was typed, without `--grpc-port` */
  listen(auth: Auth, command: string): Promise<Readonly<Record<string, string>>>
  /** Clients should look elsewhere from now on. */
  leave(): void
  /** No new receives; resolves when what gRPC clients have is settled or given back, or the grace is over. Idempotent. */
  stop(graceMs: number): Promise<void>
  /** Waits for what is being given back. After `stop` and the end of the listeners, before the embedded engine is closed. */
  close(): Promise<void>
}

/** @throws SignalboxError `config_invalid` for an engine that the store's cannot go with */
export function messageEngineOf({ messages, store }: MessageKeys): 'sqlite' | 'sqs' | 'off' {
  const embedded = store.engine === 'sqlite'
  if (messages.engine === 'auto') return embedded ? 'sqlite' : 'off'
  if (messages.engine !== 'sqlite' || embedded) return messages.engine
  throw new SignalboxError(
    'config_invalid',
    `messages.engine: 'sqlite' keeps messages in the data directory, which a server with store.engine ${store.engine} does not have; write sqs or off`,
    { details: { field: 'messages.engine' } },
  )
}

/**
 * @returns undefined when there are no message queues here
 * @throws SignalboxError `config_invalid`; what the engine refuses the queues of the configuration with
 */
export async function openServerMessages(
  options: ServerMessagesOptions,
): Promise<ServerMessages | undefined> {
  const { config, clock, random, registry, logger } = options
  const { defaultQueue, queues = {} } = config.messages
  const kind = messageEngineOf(config)
  if (kind === 'off') return undefined
  const own = kind === 'sqs' ? await openSqs(config.messages.sqs, options) : undefined
  const engine = own ?? options.embedded
  if (engine === undefined) throw new TypeError('the embedded engine is missing')

  let grpc: GrpcListener | undefined
  try {
    const inFlight = (): number => web.inFlight + (grpc?.server.inFlight ?? 0)
    const service = new MessagesService({
      engine,
      clock,
      random,
      queues: queueOptions(queues),
      defaultQueue,
      onEvent: messageMetrics(registry, inFlight),
    })
    // Who receives over HTTP cannot come back to a listener that is closing, so only gRPC waits for its own.
    const web = new Desk(service, clock, allIsRead)
    const rpc = new Desk(service, clock, allIsRead)
    // Processes that attach use the queues too, past this service.
    if (own === undefined) await service.declareAll()

    let stopped: Promise<void> | undefined
    const stop = async (graceMs: number): Promise<void> => {
      web.drain()
      rpc.drain()
      const held = grpc?.server.inFlight ?? 0
      if (held > 0) logger.info({ messages: held }, 'waiting for messages in flight')
      await grpc?.server.stop(graceMs)
    }
    return {
      engine,
      face: messagesFace({ desk: web }),
      facts: { messages: kind },
      async listen(auth, command) {
        grpc = await openGrpc({ config: config.server, desk: rpc, auth, clock, logger, command })
        return grpc === undefined ? {} : { grpc: grpc.address }
      },
      leave: () => grpc?.server.leave(),
      stop: (graceMs) => (stopped ??= stop(graceMs)),
      async close() {
        await Promise.all([web.settled(), rpc.settled()])
        await own?.close()
      },
    }
  } catch (error) {
    await own?.close()
    throw error
  }
}

/** The options of queues, all of them: what the configuration does not say is the default again. */
function queueOptions(queues: NonNullable<Config['messages']['queues']>): Record<string, QueueOptions> {
  return Object.fromEntries(
    Object.entries(queues).map(
      ([name, { visibility, delay, retention, contentDeduplication, deadLetter }]) => [
        name,
        {
          visibilityMs: visibility?.ms ?? queueDefaults.visibilityMs,
          delayMs: delay?.ms ?? queueDefaults.delayMs,
          retentionMs: retention?.ms ?? queueDefaults.retentionMs,
          contentDeduplication: contentDeduplication ?? false,
          ...(deadLetter === undefined ? {} : { deadLetter }),
        },
      ],
    ),
  )
}

async function openSqs(
  { region, endpoint, profile }: Config['messages']['sqs'],
  { clock, random, registry }: ServerMessagesOptions,
): Promise<MessageQueue> {
  const { openSqsMessages } = await import('../drivers/sqs/index.ts')
  return openSqsMessages({
    clock,
    random,
    onRequest: sqsRequestMetric(registry),
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(profile === undefined ? {} : { profile }),
  })
}
