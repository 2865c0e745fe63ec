/** The worker of a process that counts votes. */
import type { Worker, WorkerEvent } from '../../jobs/api.ts'
import { startWorker } from '../../jobs/worker.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Logger } from '../../server/logger.ts'
import { VoteCounter } from '../../voting/counting.ts'
import { recordVote } from '../../voting/worker.ts'
import type { VotingMetrics } from './metrics.ts'
import type { OpenedVoting } from './open.ts'
import type { VotingOptions } from './run.ts'
import type { WorkerSettings } from './settings.ts'

/** @throws SignalboxError `config_invalid` (a queue without a dead-letter queue), `not_found`, `unavailable` */
export async function startCounting(
  { concurrency, visibilityMs }: WorkerSettings,
  { ledger, jobs }: OpenedVoting,
  metrics: VotingMetrics,
  { clock, random, logger, ledger: around = (plain) => plain }: VotingOptions,
): Promise<Worker> {
  const log = workerLog(logger, clock)
  return startWorker([recordVote], {
    concurrency,
    visibility: `${visibilityMs}ms`,
    via: jobs,
    deps: { counter: new VoteCounter({ ledger: around(ledger), clock, random }), onCounted: metrics.counted },
    onEvent: (event) => {
      metrics.onEvent(event)
      log(event)
    },
  })
}

/** A batch that fails says so for each of its votes; once a second is enough. */
const SAY_AGAIN_MS = 1_000

function workerLog(logger: Logger, clock: Clock): (event: WorkerEvent) => void {
  const said = new Map<string, number>()
  return (event) => {
    if (event.type === 'trouble')
      logger.warn({ code: event.error.code, what: event.what }, event.error.message)
    if (event.type !== 'ended' || event.error === undefined) return
    const { error, outcome, id } = event
    if (event.verdict === 'dead_letter') {
      logger.warn({ vote: id, outcome }, `dead-lettered: ${error.message}`)
      return
    }
    const now = clock.monotonic()
    if (now - (said.get(error.code) ?? -Infinity) < SAY_AGAIN_MS) return
    said.set(error.code, now)
    logger.warn({ vote: id, outcome, code: error.code }, `votes wait and are tried again: ${error.message}`)
  }
}
