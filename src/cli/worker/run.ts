/**
 * The work of one worker process: discovers the jobs, makes their dependencies, connects, and works until it is told to stop; then
 * drains. One of several (`CHILD`) hears its parent instead of signals, and gives it the metrics.
 */
import type { Logger } from 'pino'
import { Registry } from 'prom-client'
import { SignalboxError } from '../../kernel/error.ts'
import type { Job } from '../../jobs/define.ts'
import type { WorkerEvent } from '../../jobs/api.ts'
import type { WorkerSetup } from '../../jobs/setup.ts'
import { startWorker } from '../../jobs/worker.ts'
import { stopRequested } from '../stop-requested.ts'
import { openJobsWithin, type JobsFacts, type JobsWhere } from '../open-jobs.ts'
import { discoverJobs } from './discover.ts'
import { workerMetrics } from './metrics.ts'
import type { FromChild, ToChild } from './processes.ts'
import { openWorkerWeb } from './web.ts'

export interface WorkerRun {
  readonly paths: readonly string[]
  readonly where: JobsWhere
  /** Those that are worked on; default: of the setup, else of the jobs. */
  readonly queues: readonly string[] | undefined
  readonly concurrency: number
  readonly graceMs: number
  /** How long a server is waited for at the start. */
  readonly waitMs: number
  readonly metrics: { readonly host: string; readonly port: number } | undefined
  /** One of several processes: `metrics` is the parent's. */
  readonly child: boolean
  readonly command: string
}

/** @throws SignalboxError what is wrong with the modules, the connection or a queue */
export async function runWorker(run: WorkerRun, facts: JobsFacts, logger: Logger): Promise<void> {
  const stopped = run.child ? parentSaysStop() : stopRequested()
  await using opened = new AsyncDisposableStack()
  // Whoever listens to a parent does not end by itself.
  opened.defer(() => {
    if (process.connected) process.disconnect()
  })
  const { jobs, setup, setupFile } = await discoverJobs(run.paths, facts.cwd)
  const registry = new Registry()
  const count = workerMetrics(registry, new Set(jobs.map(({ name }) => name)))
  let ready = false
  if (run.metrics !== undefined && !run.child) {
    const web = await openWorkerWeb({
      address: run.metrics,
      clock: facts.clock,
      metrics: async () => ({ text: await registry.metrics(), type: registry.contentType }),
      ready: () => ready,
      command: run.command,
    })
    opened.defer(() => web.close())
    logger.info({ metrics: `http://${web.address.host}:${web.address.port}/metrics` }, 'listening')
  }
  const stop = new AbortController()
  void stopped.then(() => stop.abort())
  const { signal } = stop
  const connection = await openJobsWithin({ waitMs: run.waitMs, signal }, run.where, facts).catch(
    (error: unknown) => {
      if (!signal.aborted) throw error
    },
  )
  if (connection === undefined) return
  opened.defer(() => connection.close())
  const deps = await depsOf(setup, setupFile)
  opened.defer(async () => {
    try {
      await setup?.dispose?.(deps)
    } catch (err) {
      logger.warn({ err, file: setupFile }, 'dispose of defineWorker failed')
    }
  })

  const { middleware, envelopes, unknownJobGrace, visibility } = setup ?? {}
  const queues = chosenQueues(run.queues, setup?.queues)
  const worker = await startWorker(jobs as readonly Job<never, unknown>[], {
    concurrency: run.concurrency,
    via: connection,
    deps,
    grace: `${run.graceMs}ms`,
    onEvent: (event) => {
      count(event)
      tell(event, logger)
    },
    ...(queues === undefined ? {} : { queues }),
    ...(middleware === undefined ? {} : { middleware }),
    ...(envelopes === undefined ? {} : { envelopes }),
    ...(unknownJobGrace === undefined ? {} : { unknownJobGrace }),
    ...(visibility === undefined ? {} : { visibility }),
  })
  ready = true
  const names = jobs.map(({ name }) => name)
  logger.info({ jobs: names, concurrency: run.concurrency, ...connection.facts }, 'worker is ready')
  if (run.child) serveParent(registry)
  try {
    await Promise.race([stopped, worker.done])
  } finally {
    // Also one that ended by itself lets its jobs come to their end before their connection is closed.
    ready = false
    await worker.drain()
  }
  await worker.done
}

/** @throws SignalboxError `config_invalid` with the file and what its `deps` threw */
async function depsOf(setup: WorkerSetup<unknown> | undefined, file = ''): Promise<unknown> {
  try {
    return await setup?.deps?.()
  } catch (cause) {
    const why = (cause instanceof Error ? cause.message : String(cause)).split('\n', 1)[0]
    const what = `${file}: deps of defineWorker failed: ${why}; no job was begun, start the worker again when that is mended`
    throw new SignalboxError('config_invalid', what, { cause })
  }
}

/** Of those that were named, with the weights of the setup. */
function chosenQueues(
  named: readonly string[] | undefined,
  weights: Readonly<Record<string, number>> | undefined,
): Readonly<Record<string, number>> | undefined {
  if (named === undefined) return weights
  return Object.fromEntries(named.map((queue) => [queue, weights?.[queue] ?? 1]))
}

function tell(event: WorkerEvent, logger: Logger): void {
  if (event.type === 'log') {
    logger[event.level]({ job: event.job, id: event.id }, event.text)
  } else if (event.type === 'trouble') {
    logger.warn({ queue: event.queue, code: event.error.code, err: event.error }, event.what)
  } else if (event.type === 'ended' && event.error !== undefined) {
    const { queue, job, id, attempt, outcome, verdict, delayMs, error } = event
    const said = {
      queue,
      job,
      id,
      attempt,
      verdict,
      ...(delayMs === undefined ? {} : { delayMs }),
      err: error,
    }
    logger[verdict === 'dead_letter' ? 'error' : 'warn'](said, `job ${outcome}`)
  } else if (event.type === 'draining') {
    logger.info({ running: event.running }, 'draining')
  } else if (event.type === 'stopped') {
    logger.info('stopped')
  }
}

/** The parent asks, or is gone. Signals to the whole group are the parent's to pass on. */
function parentSaysStop(): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => undefined)
  return new Promise((stop) => {
    process.on('message', (message: ToChild) => {
      if (message.type === 'stop') stop()
    })
    process.once('disconnect', stop)
  })
}

function serveParent(registry: Registry): void {
  const say = (message: FromChild): void => {
    if (process.connected) process.send?.(message, undefined, undefined, () => undefined)
  }
  process.on('message', (message: ToChild) => {
    if (message.type !== 'metrics') return
    void registry.getMetricsAsJSON().then((metrics) => say({ type: 'metrics', id: message.id, metrics }))
  })
  say({ type: 'ready' })
}

/** @throws SignalboxError `invalid_argument` */
export function metricsAddress(text: string): { readonly host: string; readonly port: number } | undefined {
  if (text === 'off') return undefined
  const [, host, port] = /^(?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):)?(\d{1,5})$/.exec(text) ?? []
  if (port === undefined || Number(port) > 65_535) {
    const what = `--metrics: '${text.slice(0, 60)}' is not host:port; write for example 0.0.0.0:9191, or off`
    throw new SignalboxError('invalid_argument', what)
  }
  return { host: host?.replace(/^\[|\]$/g, '') ?? '0.0.0.0', port: Number(port) }
}
