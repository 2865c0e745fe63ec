/**
 * The composition root: puts store, services and faces together and runs them as one server.
 *
 * Start: open the store → bind → take up what the store holds → ready. A start that fails gives everything back.
 * Stop: not ready → serve on for `drainDelay`, while load balancers look elsewhere → accept nothing new → wake all who wait →
 * finish calls in flight and let gRPC clients settle their messages, for `shutdownGrace` at most → close the store. What was
 * acknowledged is durable before that, so a stop that is cut short loses nothing.
 */
import { Registry } from 'prom-client'
import { sleep, type Clock } from '../kernel/clock.ts'
import type { Random } from '../kernel/id.ts'
import { leasesApiFace } from '../leases/http-api.ts'
import { leasesFace } from '../leases/http.ts'
import { createLeasesService } from '../leases/service.ts'
import { turnsFace } from '../turns/http.ts'
import { createTurnsService } from '../turns/service.ts'
import { version } from '../version.ts'
import { buildApp } from './app.ts'
import { createAuth } from './auth/auth.ts'
import { authRequired, checkExposure, ownerName } from './auth/exposure.ts'
import { namePrefix } from './auth/oidc/principal.ts'
import { authFace } from './auth/routes.ts'
import type { Config } from './config/schema.ts'
import type { Lifecycle } from './health.ts'
import { defaultProvider, leaseProviders } from './lease-config.ts'
import { leaseMetrics } from './lease-metrics.ts'
import { checkGrpcPortIsFree } from './grpc.ts'
import { checkTcpIsFree, listenTcp, urlOf, type TcpAddress } from './listen.ts'
import type { Logger } from './logger.ts'
import { messageEngineOf, openServerMessages } from './messages.ts'
import { openOidc } from './oidc.ts'
import { dataDirOf, isNewDirectory, openStore, PROBE } from './open-store.ts'
import { OpenStreams } from './open-streams.ts'
import { triggerOf } from './schedules.ts'
import { LocalPeers, serverDoor } from './owner-door.ts'
import { Listeners } from './stop.ts'
import { turnObserver } from './turn-metrics.ts'
import { openServerWork } from './work.ts'

export interface ServeOptions {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** What was typed to start this, without `--port`: for the remedy in messages. */
  readonly command: string
  /** The same without `--grpc-port`. Default: `command`. */
  readonly grpcCommand?: string
  /** Text of metrics that other processes have, for `/metrics`. */
  readonly moreMetrics?: () => Promise<string>
}

export interface RunningServer {
  readonly address: TcpAddress
  /** `http://127.0.0.1:8080` */
  readonly url: string
  /** `127.0.0.1:50052`; undefined without gRPC. */
  readonly grpcAddress: string | undefined
  /** Stops gracefully. Idempotent; resolves when all is closed. */
  close(): Promise<void>
}

/**
 * @throws SignalboxError `address_in_use`, `store_owned`, `store_newer`, `store_invalid`, `permission_denied`, …; then
 *   nothing of the start is left behind
 */
export async function startServer(config: Config, options: ServeOptions): Promise<RunningServer> {
  const { clock, random, logger, command, grpcCommand = command } = options
  const startedAt = clock.monotonic()
  const dataDir = dataDirOf(config)
  const basicUsers = config.auth.basic?.users ?? {}
  const anyUser = Object.keys(basicUsers).length > 0 || config.auth.oidc !== undefined
  const withMessages = messageEngineOf(config) !== 'off'
  triggerOf(config) // refuses what cannot go together
  await using started = new AsyncDisposableStack()

  if (isNewDirectory(config)) {
    // A refused start must not leave a directory.
    await checkExposure({ server: config.server, dataDir, canSignIn: async () => anyUser })
    await checkTcpIsFree(config.server, command)
    if (withMessages) await checkGrpcPortIsFree(config.server, grpcCommand)
  }
  const registry = new Registry()
  const opened = await openStore(config, { clock, random, registry, logger })
  const { store, owned, shared, facts: place } = opened
  started.defer(() => opened.close())
  const oidc = await openOidc(config, { registry, clock, logger })
  started.defer(() => oidc?.close())
  const auth = createAuth({
    store,
    clock,
    random,
    required: anyUser || authRequired(config.server),
    ownerName: ownerName(),
    basicUsers,
    oidc,
    oidcPrefixes: (config.auth.oidc ?? []).map(({ issuer }) => namePrefix(issuer)),
  })
  started.defer(() => auth.close())
  const canSignIn = async (): Promise<boolean> => anyUser || auth.tokens.anyValid()
  await checkExposure({ server: config.server, dataDir, canSignIn })
  const turns = createTurnsService({
    store,
    clock,
    random,
    shared,
    onEvent: turnObserver(registry, logger),
  })
  started.defer(() => turns.close())
  const leaseObserver = leaseMetrics(registry, logger)
  const leases = createLeasesService({
    store,
    clock,
    random,
    providers: leaseProviders(config),
    ...(config.leases.anyRepository ? { anyProvider: defaultProvider(config.leases) } : {}),
    shared,
    onEvent: leaseObserver.onEvent,
  })
  leaseObserver.watch(leases)
  started.defer(() => leases.close())
  const embedded = owned?.messages
  const messages = await openServerMessages({ config, embedded, clock, random, registry, logger })
  started.defer(() => messages?.close())
  const engine = messages?.engine
  const work = await openServerWork({ config, store, shared, engine, clock, random, registry, logger })
  started.defer(() => work.close())

  const lifecycle: Lifecycle = { state: 'starting' }
  const local = new LocalPeers()
  const streams = new OpenStreams()
  const app = await buildApp({
    config,
    version,
    lifecycle,
    checkStore: () => store.get(PROBE),
    faces: [
      turnsFace({ turns, clock }),
      authFace({ tokens: auth.tokens, store }),
      leasesApiFace({ leases, clock }),
      ...(messages === undefined ? [] : [messages.face]),
      ...work.faces,
      leasesFace({ leases, observer: leaseObserver.observer }),
    ],
    ownRoot: true,
    auth,
    logger,
    registry,
    moreMetrics: options.moreMetrics,
    clock,
    random,
    streams,
    trusted: (request) => local.isLocal(request),
  })
  started.defer(() => app.close())
  const door =
    owned === undefined || dataDir === undefined
      ? undefined
      : serverDoor(app, { ...owned, messages: messages?.engine ?? owned.messages }, { dataDir, local, clock })
  const { drainDelay, shutdownGrace } = config.server
  const listeners = new Listeners([app.server, ...(door === undefined ? [] : [door.server])], clock)
  started.defer(() => listeners.stop(shutdownGrace.ms))
  started.defer(() => door?.detach())
  started.defer(() => messages?.stop(0))

  const address = await listenTcp(app.server, config.server, command)
  const grpc = await messages?.listen(auth, grpcCommand)
  const url = config.server.publicUrl ?? urlOf(address)
  await door?.open(urlOf(address))
  await turns.start()
  await leases.start()
  await work.start()
  lifecycle.state = 'ready'

  const startupMs = Math.round(clock.monotonic() - startedAt)
  const facts = { url, console: `${url}/console`, ...grpc, ...place, store: config.store.engine }
  logger.info({ ...facts, ...messages?.facts, startupMs }, `Signalbox ${version} is ready`)

  const running = started.move()
  let closed: Promise<void> | undefined
  const close = async (): Promise<void> => {
    if (drainDelay.ms > 0) {
      lifecycle.state = 'draining'
      messages?.leave()
      logger.info('draining')
      await sleep(clock, drainDelay.ms)
    }
    lifecycle.state = 'stopping'
    logger.info('stopping')
    let nothingNew = false
    const served = listeners.stop(shutdownGrace.ms, () => nothingNew && streams.end())
    const settled = messages?.stop(shutdownGrace.ms)
    try {
      await turns.close()
      await leases.close()
      await work.close()
      nothingNew = true
      streams.end()
      await settled
      await door?.detach()
      await served
    } finally {
      await running.disposeAsync()
    }
    logger.info('stopped')
  }
  return { address, url, grpcAddress: grpc?.['grpc'], close: () => (closed ??= close()) }
}
