/**
 * Signalbox as a library.
 *
 * @example
 * import { turns } from 'signalbox'
 *
 * await turns.run({ queue: 'deploy' }, async ({ fence, signal }) => {
 *   await deploy({ fence, signal }) // stop when the signal aborts: the turn is about to be lost
 * })
 */
import { connect } from './cli/connect.ts'
import type { ConnectOptions } from './cli/context.ts'
import type { InputNames } from './cli/engine.ts'
import { systemClock } from './kernel/clock.ts'
import { systemRandom } from './kernel/id.ts'
import { runTurn, type TurnContext } from './turns/run.ts'
import { openTurn, type OpenTurnOptions, type Turn } from './turns/session.ts'

export { createClient, type Client, type ClientOptions } from './client/client.ts'
export { isSignalboxError, SignalboxError, errorCodes, type ErrorCode } from './kernel/error.ts'
export { systemClock, type Clock } from './kernel/clock.ts'
export { systemRandom, type Random } from './kernel/id.ts'
export type { LeaveView, MemberView, QueueSummary, QueueView, TurnsApi } from './turns/api.ts'
export type { TurnContext } from './turns/run.ts'
export type { Turn, TurnProgress } from './turns/session.ts'

/** Which server: as for the CLI, `url`, else `dataDir`, else SIGNALBOX_URL, SIGNALBOX_DATA_DIR, ./data, 127.0.0.1:8080. */
export interface AtServer {
  readonly backend?: 'server'
  readonly url?: string
  readonly dataDir?: string
}

/** A DynamoDB table that this process works on without a server; region and credentials are the AWS SDK's. */
export interface OnDynamodb {
  readonly backend: 'aws' | 'dynamodb'
  /** Default: SIGNALBOX_QUEUE_TABLE, `github-actions-dynamo-q-queue`. */
  readonly table?: string
  /**
   * Wait for jobs of the dynamo-q tool on the same table, and hold them back. Default: SIGNALBOX_GUARD, true; false
   * saves 5 s on an idle queue when there are no such jobs.
   */
  readonly guard?: boolean
}

/** A Firestore collection that this process works on without a server, with the Application Default Credentials. */
export interface OnFirestore {
  readonly backend: 'gcp' | 'firestore'
  /** The collection. Default: SIGNALBOX_QUEUE_TABLE, `github-actions-dynamo-q-queue`. */
  readonly table?: string
  /** Default: SIGNALBOX_GCP_PROJECT, GCP_PROJECT, GOOGLE_CLOUD_PROJECT. */
  readonly project?: string
  /** Default: SIGNALBOX_GCP_DATABASE, `github-dynamoq`. */
  readonly database?: string
  /** As for DynamoDB. */
  readonly guard?: boolean
}

/** Where turns are taken. Without a `backend`, SIGNALBOX_BACKEND decides, else it is a server. */
export type WhereOptions = AtServer | OnDynamodb | OnFirestore

export type TurnOptions = Omit<OpenTurnOptions, 'api' | 'clock' | 'random'> & WhereOptions

/** A turn that is held; `release` also ends the connection. */
export type HeldTurn = Turn & AsyncDisposable

/** What messages call the inputs. */
const names: InputNames = {
  url: 'url',
  dataDir: 'dataDir',
  backend: 'backend',
  queueTable: 'table',
  gcpProject: 'project',
  gcpDatabase: 'database',
  firestoreDatabase: 'database',
  guard: 'guard',
}

/** All that the variants of `WhereOptions` have, for callers without type checks too. */
type AnyWhere = Omit<AtServer & OnDynamodb & OnFirestore, 'backend'> & { readonly backend?: string }

async function open(options: TurnOptions): Promise<{ options: OpenTurnOptions; close(): Promise<void> }> {
  const { backend, url, dataDir, table, project, database, guard, ...rest } = options as AnyWhere &
    Omit<OpenTurnOptions, 'api' | 'clock' | 'random'>
  const where: ConnectOptions = {
    backend,
    url,
    dataDir,
    queueTable: table,
    gcpProject: project,
    gcpDatabase: database,
    guard: guard === undefined ? undefined : guard ? 'on' : 'off',
  }
  const facts = { env: process.env, clock: systemClock, random: systemRandom, names } // oxlint-disable-line no-restricted-properties -- the library's edge
  const connection = await connect(where, facts)
  const ready = { ...rest, api: connection.turns, clock: systemClock, random: systemRandom }
  return { options: ready, close: () => connection.close() }
}

export const turns = {
  /**
   * Runs `work` while holding a turn: joins, waits, runs, releases, also when `work` throws.
   * @example
   * await turns.run({ queue: 'deploy', backend: 'aws', table: 'deploys' }, ({ fence, signal }) => deploy({ fence, signal }))
   * @throws what `work` throws; SignalboxError `turn_lost`, `wait_timeout`, `unavailable`, `conflict`, …
   */
  async run<T>(options: TurnOptions, work: (context: TurnContext) => Promise<T> | T): Promise<T> {
    const connection = await open(options)
    try {
      return await runTurn(connection.options, work)
    } finally {
      await connection.close()
    }
  },

  /**
   * The same without a callback, for code that holds a turn across functions. Watch `stopping`, and release.
   * @example
   * await using turn = await turns.open({ queue: 'deploy' })
   */
  async open(options: TurnOptions): Promise<HeldTurn> {
    const connection = await open(options)
    try {
      const turn = await openTurn(connection.options)
      const release: Turn['release'] = async (how) => {
        try {
          return await turn.release(how)
        } finally {
          await connection.close()
        }
      }
      return { ...turn, release, [Symbol.asyncDispose]: async () => void (await release()) }
    } catch (error) {
      await connection.close()
      throw error
    }
  },
} as const
