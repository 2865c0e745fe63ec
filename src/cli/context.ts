/**
 * What a command of the CLI gets from the process it runs in, so that a capability's commands can be written, and tested,
 * without one.
 *
 * A command throws a `SignalboxError` for a failure of its own, and the program prints it (`output.ts`); an exit code that
 * is not a failure's, such as that of a command it ran, goes to `setExitCode`.
 */
import type { AccessApi } from '../client/access.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Random } from '../kernel/id.ts'
import type { LeasesApi, LeasesReading } from '../leases/api.ts'
import type { MessagesApi } from '../messages/api.ts'
import type { Store } from '../ports/store.ts'
import type { TurnsApi, TurnsOperations } from '../turns/api.ts'

/** What flags say about where turns are taken: at a server, or on a cloud engine (`engine.ts` has the rule). */
export interface ConnectOptions {
  /** `--url` */
  readonly url?: string | undefined
  /** `--data-dir` */
  readonly dataDir?: string | undefined
  /** `--backend` */
  readonly backend?: string | undefined
  /** `--queue-table`: the DynamoDB table or Firestore collection. */
  readonly queueTable?: string | undefined
  /** `--gcp-project` */
  readonly gcpProject?: string | undefined
  /** `--gcp-database` */
  readonly gcpDatabase?: string | undefined
  /** `--firestore-database`, the same as `--gcp-database`. */
  readonly firestoreDatabase?: string | undefined
  /** `--guard`: `on` or `off`. */
  readonly guard?: string | undefined
}

/** A value in force, and where it came from: a flag, a variable, `default`. */
export interface Setting {
  readonly name: string
  readonly value: string
  readonly from: string
}

export interface Connection {
  readonly turns: TurnsApi & TurnsOperations
  /** For people: which server or engine this is. */
  readonly describe: string
  /** How that was decided, for `turn doctor`. */
  readonly settings?: readonly Setting[]
  /** The engine itself, where this process works on one without a server. */
  readonly store?: Store
  /** What `turn doctor` asks a server beside turns. */
  readonly server?: ServerFace
  close(): Promise<void>
}

/** What the commands under `lease` get: leases are taken at a server only, whatever SIGNALBOX_BACKEND says. */
export interface LeaseContext extends Omit<CliContext, 'connect'> {
  /** @throws SignalboxError `unavailable` with how to start a server, `invalid_argument` */
  connect(options: Pick<ConnectOptions, 'url' | 'dataDir'>): Promise<LeaseConnection>
}

export interface LeaseConnection {
  /** The original service has no history. */
  readonly leases: LeasesApi & Partial<Pick<LeasesReading, 'history'>>
  /** For people: which server this is. */
  readonly describe: string
  close(): Promise<void>
}

/** What the commands under `messages` get: queues at a server or a sidecar, over HTTP, gRPC or a socket. */
export interface MessagesContext extends Omit<CliContext, 'connect'> {
  /** @throws SignalboxError `unavailable` with how to start a server, `invalid_argument` */
  connect(where: MessagesWhere): Promise<MessagesConnection>
}

/** What flags say about where messages are. */
export interface MessagesWhere extends Pick<ConnectOptions, 'url' | 'dataDir'> {
  /** `--tls-ca`: the authority that the certificate of a `grpcs://` server is checked by, instead of those of the system. */
  readonly tlsCa?: string | undefined
}

export interface MessagesConnection {
  readonly messages: MessagesApi
  close(): Promise<void>
}

export interface ServerFace {
  /** @throws SignalboxError `unavailable` when nobody answers, or somebody else */
  hello(): Promise<Hello>
  readonly access: Pick<AccessApi, 'listTokens'>
}

/** What a server says to everybody. */
export interface Hello {
  readonly version: string
  /** The version of this side. */
  readonly ownVersion: string
  /** What its clock says, to the second. */
  readonly now: number | undefined
}

/** Where text goes: standard output or error. */
export interface Output {
  write(text: string): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  on?(event: 'error', listener: (error: Error) => void): unknown
}

export interface CliContext {
  /** @throws SignalboxError `unavailable` with how to start a server, `invalid_argument`; what a cloud engine refuses with */
  connect(options: ConnectOptions): Promise<Connection>
  readonly stdout: Output
  readonly stderr: Output
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly random: Random
  /** The process is to end with this code once nothing is left to do. */
  setExitCode(code: number): void
}
