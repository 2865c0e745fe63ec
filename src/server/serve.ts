/**
 * The composition root: puts store, services and faces together and runs them as one server.
 *
 * Start: own the store → bind → take up what the store holds → ready. A start that fails gives everything back.
 * Stop: not ready → accept nothing new → wake all who wait → finish calls in flight, for `shutdownGrace` at most → close
 * the store. What was acknowledged is durable before that, so a stop that is cut short loses nothing.
 */
import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { Socket } from 'node:net'
import { resolve } from 'node:path'
import { Registry } from 'prom-client'
import { attachStoreHost } from '../drivers/attached/index.ts'
import { openSqliteStore } from '../drivers/sqlite/index.ts'
import { sleep, type Clock } from '../kernel/clock.ts'
import type { Random } from '../kernel/id.ts'
import { leasesFace } from '../leases/http.ts'
import { createLeasesService } from '../leases/service.ts'
import { decimalKey } from '../ports/store.ts'
import { turnsFace } from '../turns/http.ts'
import { createTurnsService } from '../turns/service.ts'
import { version } from '../version.ts'
import { buildApp } from './app.ts'
import { createAuth } from './auth/auth.ts'
import { authRequired, checkExposure, ownerName } from './auth/exposure.ts'
import { authFace } from './auth/routes.ts'
import { answerClientError } from './client-error.ts'
import type { Config } from './config/schema.ts'
import type { Lifecycle } from './health.ts'
import { defaultProvider, leaseProviders } from './lease-config.ts'
import { leaseMetrics } from './lease-metrics.ts'
import {
  checkTcpIsFree,
  listenOnSocket,
  listenTcp,
  ownerSocketPath,
  urlOf,
  type TcpAddress,
} from './listen.ts'
import type { Logger } from './logger.ts'
import { openOidc } from './oidc.ts'
import { OpenStreams } from './open-streams.ts'
import { storeMetrics } from './store-metrics.ts'
import { turnObserver } from './turn-metrics.ts'

export interface ServeOptions {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** What was typed to start this, without `--port`: for the remedy in messages. */
  readonly command: string
}

export interface RunningServer {
  readonly address: TcpAddress
  /** `http://127.0.0.1:8080` */
  readonly url: string
  /** Stops gracefully. Idempotent; resolves when all is closed. */
  close(): Promise<void>
}

/** What others are told owns the data directory. */
const OWNER = 'signalbox serve'

/** Connections that became idle while stopping are closed this often. */
const CLOSE_IDLE_MS = 20

/**
 * @throws SignalboxError `address_in_use`, `store_owned`, `store_newer`, `store_invalid`, `permission_denied`, …; then
 *   nothing of the start is left behind
 */
export async function startServer(config: Config, options: ServeOptions): Promise<RunningServer> {
  const { clock, random, logger, command } = options
  const startedAt = clock.monotonic()
  const dataDir = resolve(config.dataDir)
  await using started = new AsyncDisposableStack()

  if (!existsSync(dataDir)) {
    // A refused start must not leave a directory.
    const anyUser = Object.keys(config.auth.basic?.users ?? {}).length > 0 || config.auth.oidc !== undefined
    await checkExposure(config.server, dataDir, async () => anyUser)
    await checkTcpIsFree(config.server, command)
  }
  const { groupCommit } = config.store
  const store = await openSqliteStore({ directory: dataDir, clock, groupCommit, owner: { command: OWNER } })
  started.defer(() => store.close())
  const basicUsers = config.auth.basic?.users ?? {}
  const anyUser = Object.keys(basicUsers).length > 0 || config.auth.oidc !== undefined
  const required = anyUser || authRequired(config.server)
  const registry = new Registry()
  const oidc = await openOidc(config, { registry, clock, logger })
  started.defer(() => oidc?.close())
  const auth = createAuth({ store, clock, random, required, ownerName: ownerName(), basicUsers, oidc })
  started.defer(() => auth.close())
  await checkExposure(config.server, dataDir, async () => anyUser || auth.tokens.anyValid())
  storeMetrics(registry, () => store.facts())
  const onEvent = turnObserver(registry, logger)
  const turns = createTurnsService({ store, clock, random, onEvent })
  started.defer(() => turns.close())
  const leaseObserver = leaseMetrics(registry, logger)
  const leases = createLeasesService({
    store,
    clock,
    random,
    providers: leaseProviders(config),
    ...(config.leases.anyRepository ? { anyProvider: defaultProvider(config.leases) } : {}),
    onEvent: leaseObserver.onEvent,
  })
  leaseObserver.watch(leases)
  started.defer(() => leases.close())

  const lifecycle: Lifecycle = { state: 'starting' }
  const local = new WeakSet<Socket>()
  const streams = new OpenStreams()
  const app = await buildApp({
    config,
    version,
    lifecycle,
    checkStore: () => store.get(['readyz', decimalKey(0)]),
    faces: [
      turnsFace({ turns, clock }),
      authFace({ tokens: auth.tokens, store }),
      leasesFace({ leases, observer: leaseObserver.observer }),
    ],
    ownRoot: true,
    auth,
    logger,
    registry,
    clock,
    random,
    streams,
    trusted: ({ socket }) => local.has(socket),
  })
  started.defer(() => app.close())
  const tcp = app.server
  const socket = createServer(
    { requestTimeout: tcp.requestTimeout, keepAliveTimeout: tcp.keepAliveTimeout },
    (q, r) => app.routing(q, r),
  )
  socket.on('connection', (peer: Socket) => local.add(peer))
  socket.on('clientError', answerClientError)
  started.defer(() => stopServing([tcp, socket], config.server.shutdownGrace.ms, clock))
  const attached = attachStoreHost(socket, store, { clock })
  started.defer(() => attached.close())

  const address = await listenTcp(tcp, config.server, command)
  const url = config.server.publicUrl ?? urlOf(address)
  const socketPath = ownerSocketPath(dataDir)
  await listenOnSocket(socket, socketPath)
  store.announce({ url: urlOf(address), socket: socketPath })
  await turns.start()
  await leases.start()
  lifecycle.state = 'ready'

  const startupMs = Math.round(clock.monotonic() - startedAt)
  const facts = { url, console: `${url}/console`, dataDir, store: config.store.engine, startupMs }
  logger.info(facts, `Signalbox ${version} is ready`)

  const running = started.move()
  let closed: Promise<void> | undefined
  const close = async (): Promise<void> => {
    lifecycle.state = 'stopping'
    logger.info('stopping')
    const served = stopServing([tcp, socket], config.server.shutdownGrace.ms, clock)
    try {
      await turns.close()
      await leases.close()
      streams.end()
      await attached.close()
      await served
    } finally {
      await running.disposeAsync()
    }
    logger.info('stopped')
  }
  return { address, url, close: () => (closed ??= close()) }
}

/** Accepts nothing new and lets calls in flight finish; after the grace their connections are cut. Idempotent. */
async function stopServing(servers: readonly Server[], graceMs: number, clock: Clock): Promise<void> {
  const open = servers.filter((server) => server.listening)
  const closed = Promise.all(open.map((server) => new Promise((done) => server.close(done))))
  const finished = new AbortController()
  void closed.then(() => finished.abort())
  const deadline = clock.timer(graceMs, () => {
    for (const server of open) server.closeAllConnections()
  })
  while (!finished.signal.aborted) {
    for (const server of open) server.closeIdleConnections()
    await sleep(clock, CLOSE_IDLE_MS, finished.signal).catch(() => undefined)
  }
  deadline.cancel()
}
