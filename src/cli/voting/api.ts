/** The voting API of a process: the application, listening. */
import type { Registry } from 'prom-client'
import { httpMetrics } from '../../server/http-metrics.ts'
import { listenTcp, urlOf } from '../../server/listen.ts'
import { OpenStreams } from '../../server/open-streams.ts'
import { Listeners } from '../../server/stop.ts'
import { version } from '../../version.ts'
import { votingApp } from '../../voting/http/app.ts'
import { LiveResults } from '../../voting/live.ts'
import { VotingService } from '../../voting/service.ts'
import { recordVote } from '../../voting/worker.ts'
import type { VotingMetrics } from './metrics.ts'
import type { OpenedVoting } from './open.ts'
import type { VotingOptions } from './run.ts'
import type { ApiSettings } from './settings.ts'

export interface Served {
  readonly url: string
  close(): Promise<void>
}

/** What is being answered gets so long when the process stops. */
const GRACE_MS = 10_000
/** An id that nothing has: to see whether the ledger answers. */
export const PROBE = '-'

/** @throws SignalboxError `address_in_use`, `permission_denied` */
export async function serveApi(
  settings: ApiSettings,
  { ledger, jobs }: OpenedVoting,
  { registry, metrics }: { readonly registry: Registry; readonly metrics: VotingMetrics },
  { clock, logger, command }: VotingOptions,
): Promise<Served> {
  const voting = new VotingService({
    ledger,
    clock,
    requireActive: settings.requireActive,
    async send(vote) {
      await recordVote.enqueue(vote, { id: vote.id, via: jobs })
      metrics.accepted()
    },
  })
  const app = await votingApp({
    voting,
    live: new LiveResults({ clock, ledger, read: (id) => voting.getTopic(id, true) }),
    clock,
    version,
    apiKey: settings.apiKey,
    origins: settings.origins,
    healthy: async () => void (await ledger.getTopic(PROBE)),
    metrics: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
    observe: httpMetrics(registry),
    onFailure: (error, { method, url }) =>
      logger.error(
        { method, url, code: error.code, ...(error.code === 'internal' ? { err: error } : {}) },
        error.message,
      ),
  })
  const streams = new OpenStreams()
  app.server.prependListener('request', (request, response) => streams.note(request, response))
  const listeners = new Listeners([app.server], clock)
  const address = await listenTcp(app.server, settings, command)
  return {
    url: urlOf(address),
    async close() {
      await listeners.stop(GRACE_MS, () => streams.end())
      await app.close()
    },
  }
}
