/**
 * `signalbox serve --jobs DIR`: workers as child processes of the server, so that a busy job delays no commit. They attach to the
 * server that is up by then, and are drained before it stops.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { AggregatorRegistry } from 'prom-client'
import { formatDuration } from '../../kernel/duration.ts'
import { SignalboxError } from '../../kernel/error.ts'
import { systemClock } from '../../kernel/clock.ts'
import { systemRandom } from '../../kernel/id.ts'
import type { LoadedConfig } from '../../server/config/load.ts'
import type { Logger } from '../../server/logger.ts'
import type { Terminal } from '../terminal.ts'
import { WorkerProcesses } from '../worker/processes.ts'

export interface JobWorkers {
  /** Prometheus text of all of them. */
  metrics(): Promise<string>
  /** Resolves with an exit code when they could not start. */
  readonly ended: Promise<number>
  start(): void
  stop(): Promise<void>
}

/** @throws SignalboxError `config_invalid` for a folder that is not there, and for engines that jobs do not run on */
export function jobWorkers(
  { config, entries }: Pick<LoadedConfig, 'config' | 'entries'>,
  folder: string,
  { env, cwd, logger }: Pick<Terminal, 'env' | 'cwd'> & { readonly logger: Logger },
): JobWorkers {
  const { concurrency, processes, grace } = config.jobs
  if (!existsSync(resolve(cwd, folder))) {
    throw refusal(`'${folder}' is not there; name the folder of your jobs`)
  }
  const { engine } = config.store
  const messages = config.messages.engine
  const embedded = engine === 'sqlite' && (messages === 'auto' || messages === 'sqlite')
  if (!embedded && !(engine === 'dynamodb' && messages === 'sqs')) {
    throw refusal(
      `jobs need store.engine sqlite with messages.engine sqlite, or dynamodb with sqs; got ${engine} with ${messages}`,
    )
  }
  const children = new WorkerProcesses({
    argv: [
      'worker',
      folder,
      `--concurrency=${concurrency}`,
      `--grace=${formatDuration(grace.ms)}`,
      `--log-level=${config.log.level}`,
      `--log-format=${config.log.format}`,
      '--metrics=off',
      ...(embedded ? ['--data-dir', config.dataDir] : []),
    ],
    env: embedded ? env : { ...env, ...settingsOf(entries) },
    cwd,
    count: processes,
    graceMs: grace.ms,
    clock: systemClock,
    random: systemRandom,
    onRestart: (facts) => logger.warn(facts, 'a worker process ended; it is started again'),
  })
  return {
    ended: children.ended,
    start: () => children.start(),
    stop: () => children.stop(),
    metrics: async () => AggregatorRegistry.aggregate(await children.metrics()).metrics(),
  }
}

function refusal(what: string): SignalboxError {
  return new SignalboxError('config_invalid', `jobs.folder: ${what}`, { details: { field: 'jobs.folder' } })
}

/** What flags and the file say about the engines, as variables: children read no flags of the server. */
function settingsOf(entries: LoadedConfig['entries']): Record<string, string> {
  const given = entries.filter(
    ({ key, where }) => where !== 'default' && /^(?:store|messages)\./.test(key.path),
  )
  return Object.fromEntries(
    given.flatMap(({ key, value }) => {
      const [name] = key.env
      const text = typeof value === 'string' ? value : JSON.stringify(value)
      return name === undefined ? [] : [[name, text]]
    }),
  )
}
