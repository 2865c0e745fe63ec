/**
 * Where the jobs of a process lie, one rule for `signalbox worker` and for the library (`signalbox/jobs`):
 *
 * 1. a cloud engine that the configuration names (`store.engine: dynamodb` with `messages.engine: sqs`): this process works on it;
 * 2. `--url`; 3. `--data-dir`; 4. SIGNALBOX_URL: that server, over HTTP; 5. SIGNALBOX_DATA_DIR, else ./data: its live owner, through its socket.
 *
 * A process of jobs never owns a data directory: it would keep others from it for as long as a job works.
 */
import { sleep, type Clock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import type { JobsConnection } from '../jobs/api.ts'
import { NoticeWriter } from '../notifications/wanted.ts'
import { createRunsService } from '../runs/service.ts'
import { sendThrough } from '../runs/wake-up.ts'
import { loadConfig } from '../server/config/load.ts'
import type { Config } from '../server/config/schema.ts'
import { noticeOf } from '../server/notifications/notice-of.ts'
import { credentialOf, given, type ConnectFacts } from './connect.ts'

export interface OpenedJobs extends JobsConnection {
  /** For the log: which one was taken. */
  readonly facts: Readonly<Record<string, string>>
  close(): Promise<void>
}

export interface JobsWhere {
  readonly url?: string | undefined
  readonly dataDir?: string | undefined
  /** `--config` */
  readonly config?: string | undefined
}

export type JobsFacts = ConnectFacts & {
  readonly cwd: string
  readonly clock: Clock
  readonly random: Random
}

/** Every process of jobs looks for what is due; a server does so more often. */
const SWEEP_MS = 10_000

/** @throws SignalboxError `config_invalid`, `invalid_argument`, `unavailable` (with how to start a server), `permission_denied` */
export async function openJobs(where: JobsWhere, facts: JobsFacts): Promise<OpenedJobs> {
  const { cwd, env } = facts
  if (where.url !== undefined && where.dataDir !== undefined) {
    throw new SignalboxError('invalid_argument', '--url and --data-dir: give one of them, not both')
  }
  const named = where.url !== undefined || where.dataDir !== undefined
  if (!named) {
    const { config } = await loadConfig({ cwd, env, file: where.config })
    if (config.store.engine !== 'sqlite') return openCloud(config, facts)
  }
  const url = where.url ?? (where.dataDir === undefined ? given(env['SIGNALBOX_URL']) : undefined)
  return url === undefined ? attach(where.dataDir, facts) : openRemote(url, facts)
}

async function openRemote(url: string, facts: JobsFacts): Promise<OpenedJobs> {
  const { clock, random } = facts
  const [{ createClient }, { openRemoteMessages }] = await Promise.all([
    import('../client/client.ts'),
    import('../client/message-queue.ts'),
  ])
  const token = credentialOf({}, facts)?.token
  const options = { url, clock, random, ...(token === undefined ? {} : { token }) }
  const engine = await openRemoteMessages(options)
  const client = createClient(options)
  return {
    engine,
    runs: client.runs,
    clock,
    random,
    facts: { server: client.address },
    async close() {
      await engine.close()
      await client.close()
    },
  }
}

async function attach(dataDir: string | undefined, { env, clock, random }: JobsFacts): Promise<OpenedJobs> {
  const directory = dataDir ?? given(env['SIGNALBOX_DATA_DIR']) ?? './data'
  const { openEmbedded } = await import('./embedded.ts')
  const opened = await openEmbedded({ directory, clock, random, mayOwn: false, command: 'signalbox worker' })
  return onStore(opened, opened.messages, { clock, random }, () => opened.close())
}

async function openCloud(config: Config, facts: JobsFacts): Promise<OpenedJobs> {
  const { clock, random } = facts
  const { store: stores, messages } = config
  if (stores.engine !== 'dynamodb' || messages.engine !== 'sqs') {
    const what = `jobs need store.engine dynamodb with messages.engine sqs, or sqlite for both; got ${stores.engine} with ${messages.engine}`
    throw new SignalboxError('config_invalid', `${what}; change the configuration, or set SIGNALBOX_URL`)
  }
  const [{ openDynamodbStore }, { openSqsMessages }] = await Promise.all([
    import('../drivers/dynamodb/index.ts'),
    import('../drivers/sqs/index.ts'),
  ])
  const { table, region, endpoint } = stores.dynamodb
  const place = { table, ...optional({ region, endpoint }) }
  const store = await openDynamodbStore({ ...place, clock, random })
  const engine = await openSqsMessages({ clock, random, ...optional(messages.sqs) }).catch(
    async (error: unknown) => {
      await store.close()
      throw error
    },
  )
  const opened = { store, facts: { store: 'dynamodb', messages: 'sqs', table } }
  return onStore(opened, engine, { clock, random }, async () => {
    await engine.close()
    await store.close()
  })
}

/** Run records are worked on by this process itself, which also leaves word of how they ended for those who want to be notified. */
async function onStore(
  { store, facts }: Pick<OpenedJobs, 'facts'> & { readonly store: NonNullable<JobsConnection['store']> },
  engine: JobsConnection['engine'],
  { clock, random }: { readonly clock: Clock; readonly random: Random },
  closeEngines: () => Promise<void>,
): Promise<OpenedJobs> {
  const notices = new NoticeWriter({ store, clock, random })
  const runs = createRunsService({
    store,
    clock,
    random,
    send: sendThrough(engine),
    sweepMs: SWEEP_MS,
    beside: (before, after) => {
      const notice = notices.isHeard ? noticeOf(before, after) : undefined
      return notice === undefined ? [] : notices.changesFor(notice)
    },
  })
  try {
    await notices.start()
    await runs.start()
  } catch (error) {
    await notices.close()
    await runs.close()
    await closeEngines()
    throw error
  }
  return {
    engine,
    store,
    runs,
    clock,
    random,
    facts,
    async close() {
      await runs.close()
      await notices.close()
      await closeEngines()
    },
  }
}

/**
 * As `openJobs`, for a process that is started together with its server: waits for one for so long.
 * @throws what `openJobs` throws; the signal's reason once it aborts between two attempts
 */
export async function openJobsWithin(
  { waitMs, signal }: { readonly waitMs: number; readonly signal: AbortSignal },
  where: JobsWhere,
  facts: JobsFacts,
): Promise<OpenedJobs> {
  const { clock } = facts
  for (const until = clock.monotonic() + waitMs; ; await sleep(clock, RETRY_MS, signal)) {
    try {
      return await openJobs(where, facts)
    } catch (error) {
      const passing = error instanceof SignalboxError && error.code === 'unavailable'
      if (!passing || clock.monotonic() >= until) throw error
    }
  }
}

const RETRY_MS = 250

function optional<T extends Record<string, unknown>>(all: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const set = Object.entries(all).filter(([, value]) => value !== undefined)
  return Object.fromEntries(set) as { [K in keyof T]?: NonNullable<T[K]> }
}
