/**
 * Puts the voting service together: API, worker, or both in one process.
 *
 * Stop: no new requests; what was asked is answered; then the worker finishes the votes it holds and gives the rest back; then the
 * engines close. What was accepted is durable before that.
 */
import { Registry, collectDefaultMetrics } from 'prom-client'
import { deadQueueOf } from '../../jobs/names.ts'
import { readyQueue } from '../../jobs/queues.ts'
import { toSignalboxError } from '../../kernel/error.ts'
import type { MessageQueue } from '../../ports/message-queue.ts'
import { checkTcpIsFree, urlOf } from '../../server/listen.ts'
import { version } from '../../version.ts'
import type { VoteLedger } from '../../voting/ledger.ts'
import { recordVote } from '../../voting/worker.ts'
import { openWorkerWeb, type WorkerWeb } from '../worker/web.ts'
import { PROBE, serveApi } from './api.ts'
import { startCounting } from './count.ts'
import { votingMetrics } from './metrics.ts'
import { openVoting, type OpenedVoting, type Parts } from './open.ts'
import type { ApiSettings, VotingEngine, WorkerSettings } from './settings.ts'

export interface VotingOptions extends Parts {
  readonly engine: VotingEngine
  readonly api?: ApiSettings
  readonly worker?: WorkerSettings
  /** What was typed, without `--port`, for remedies. */
  readonly command: string
  /** Around the ledger that the worker counts on; for tests. */
  readonly ledger?: (ledger: VoteLedger) => VoteLedger
}

export interface RunningVoting {
  readonly url?: string
  readonly metricsUrl?: string
  /** Rejects when the worker ended by itself. */
  readonly done: Promise<void>
  close(): Promise<void>
}

const DRAIN_MS = 10_000

/** @throws SignalboxError `address_in_use`, what opening the engines throws, `not_found` (tables or queues that are missing) */
export async function startVoting(options: VotingOptions): Promise<RunningVoting> {
  const { engine, api, worker, logger, command } = options
  await using started = new AsyncDisposableStack()
  // A refused start must not leave a directory.
  if (api !== undefined) await checkTcpIsFree(api, command)
  const opened = await openVoting(engine, options, { mayOwn: api !== undefined, command })
  started.defer(() => opened.close())
  await refuseWhatCannotWork(opened, api !== undefined)
  const registry = new Registry()
  const metrics = votingMetrics(registry)
  const working = worker === undefined ? undefined : await startCounting(worker, opened, metrics, options)
  started.defer(() => working?.drain({ grace: `${DRAIN_MS}ms` }))
  const served = api === undefined ? undefined : await serveApi(api, opened, { registry, metrics }, options)
  started.defer(() => served?.close())
  // An API has its numbers on its own port.
  const alone = api === undefined ? worker?.metrics : undefined
  const numbers = alone === undefined ? undefined : await serveNumbers(alone, registry, options)
  started.defer(() => numbers?.close())
  const numbersUrl = numbers === undefined ? undefined : `${urlOf(numbers.address)}/metrics`
  const facts = {
    ...(served === undefined ? {} : { url: served.url, docs: `${served.url}/docs` }),
    ...(numbersUrl === undefined ? {} : { metrics: numbersUrl }),
    worker: worker === undefined ? 'none here' : `${worker.concurrency} batches at a time`,
    ...opened.facts,
  }
  logger.info(facts, `Signalbox voting ${version} is ready`)
  const running = started.move()
  let closed: Promise<void> | undefined
  const close = async (): Promise<void> => {
    logger.info('stopping')
    await running.disposeAsync()
    logger.info('stopped')
  }
  return {
    ...(served === undefined ? {} : { url: served.url }),
    ...(numbersUrl === undefined ? {} : { metricsUrl: numbersUrl }),
    done: working?.done ?? new Promise(() => undefined),
    close: () => (closed ??= close()),
  }
}

/** Missing tables and queues, refused credentials: better said now. What may pass is tried again by whoever needs it. */
async function refuseWhatCannotWork({ ledger, jobs }: OpenedVoting, api: boolean): Promise<void> {
  try {
    if (api) await ledger.getTopic(PROBE)
    await ledger.getVotes([PROBE])
    await keepVotes(jobs.engine)
    await readyQueue(jobs.engine, recordVote.queue, recordVote.definition.retry.attempts)
  } catch (error) {
    if (!toSignalboxError(error).facts.retryable) throw error
  }
}

/** A vote that waits, or was given up, is kept as long as a queue can: nobody may be looking for days. */
async function keepVotes(engine: MessageQueue): Promise<void> {
  if (engine.capabilities.queues === 'existing') return
  const known = new Set(await engine.listQueues())
  const retentionMs = engine.limits.maxRetentionMs
  for (const queue of [deadQueueOf(recordVote.queue), recordVote.queue]) {
    if (!known.has(queue)) await engine.declareQueue(queue, { retentionMs })
  }
}

/** A worker's numbers and health, for Prometheus and whoever keeps it warm. */
function serveNumbers(
  address: NonNullable<WorkerSettings['metrics']>,
  registry: Registry,
  { clock, command }: VotingOptions,
): Promise<WorkerWeb> {
  collectDefaultMetrics({ register: registry })
  return openWorkerWeb({
    address,
    clock,
    command,
    metrics: async () => ({ text: await registry.metrics(), type: registry.contentType }),
    ready: () => true,
  })
}
