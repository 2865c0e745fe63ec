/**
 * The Firestore driver: the store port on one collection, readable by dynamo-q's clients and served by their index.
 *
 * The SDK (`@google-cloud/firestore`) is loaded when a store is opened, and not before: it is an optional dependency.
 */
import type * as Firestore from '@google-cloud/firestore'
import * as grpc from '@grpc/grpc-js'
import type { Clock } from '../../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import { decimalKey, type Store } from '../../ports/store.ts'
import { Connection, type Stub } from './connection.ts'
import { Documents } from './documents.ts'
import { SIGN_IN, translate, type Place } from './errors.ts'
import { FirestoreStore } from './store.ts'

export interface FirestoreStoreOptions {
  /** Google Cloud project; default: the one of the Application Default Credentials. An emulator needs it named. */
  readonly project?: string
  /** Database id, for example `github-dynamoq`. */
  readonly database: string
  /** Collection id: dynamo-q's `queue-table`. */
  readonly collection: string
  /** `decimal` (default): `entryTimestamp` is a number, as dynamo-q has it; `ascii`: a string. */
  readonly keys?: 'decimal' | 'ascii'
  /**
   * `host:port` of an emulator: plain text, no credentials. Nothing here reads FIRESTORE_EMULATOR_HOST, neither does the
   * part of the SDK in use; the caller passes it.
   */
  readonly emulatorHost?: string
  readonly clock: Clock
  readonly random: Random
  /** How long the engine may take to answer a call; default 10,000. */
  readonly requestTimeoutMs?: number
  /** Told the name of each remote call (`Commit`, `RunQuery`, …) as it is sent. */
  readonly onRequest?: (operation: string) => void
}

type Sdk = typeof Firestore

const DEFAULT_TIMEOUT_MS = 10_000

/** An idle connection through a proxy or NAT may be cut without a word; pings notice. */
const CHANNEL = {
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  // Nobody's DNS record may switch on retries: see connection.ts.
  'grpc.service_config_disable_resolution': 1,
}

/**
 * Opens the store. It reads once, so that a missing database or permission shows here.
 * @throws SignalboxError `config_invalid` (SDK or project missing), `invalid_argument`, `unauthenticated`,
 *   `permission_denied`, `not_found` (database)
 * @example
 * const store = await openFirestoreStore({
 *   database: 'github-dynamoq', collection: 'github-queues', clock: systemClock, random: systemRandom,
 * })
 */
export async function openFirestoreStore(options: FirestoreStoreOptions): Promise<Store> {
  checkOptions(options)
  const { v1 } = await loadSdk(() => import('@google-cloud/firestore'))
  const client = new v1.FirestoreClient({
    ...(options.emulatorHost === undefined ? {} : emulator(options.emulatorHost)),
    ...(options.project === undefined ? {} : { projectId: options.project }),
    ...CHANNEL,
    grpc,
    fallback: false,
  })
  const { database, collection } = options
  const project = options.project ?? (await projectOf(client))
  const place: Place = { project, database, collection }
  const documents = new Documents(place, options.keys ?? 'decimal')
  const stub = await client.initialize().catch((error: unknown) => {
    throw translate(error, { place, operation: SIGN_IN, write: false })
  })
  const connection = new Connection({
    stub: stub as unknown as Stub,
    metadata: metadata(documents, place, options.emulatorHost !== undefined),
    place,
    clock: options.clock,
    random: options.random,
    timeoutMs: options.requestTimeoutMs ?? DEFAULT_TIMEOUT_MS,
    onRequest: options.onRequest ?? (() => {}),
    close: () => client.close(),
  })
  const store = new FirestoreStore(connection, documents)
  try {
    await store.get(['signalbox', decimalKey(0)])
    return store
  } catch (error) {
    // Trouble that may pass is for whoever uses the store, and tries again as long as makes sense there.
    if (isSignalboxError(error, 'throttled') || isSignalboxError(error, 'unavailable')) return store
    await store.close()
    throw error
  }
}

/**
 * Loads the SDK.
 * @throws SignalboxError `config_invalid` when it is not installed or cannot run here
 */
export async function loadSdk(load: () => Promise<Sdk>): Promise<Sdk> {
  try {
    const loaded = await load()
    // A CommonJS package: what its getters export shows on the default export only.
    return (loaded as { readonly default?: Sdk }).default ?? loaded
  } catch (error) {
    const message = error instanceof Error ? error.message.split('\n', 1)[0] : String(error)
    const missing = (error as { readonly code?: unknown } | null)?.code === 'ERR_MODULE_NOT_FOUND'
    const problem = missing ? 'which is not installed' : `which cannot be loaded (${message})`
    throw new SignalboxError(
      'config_invalid',
      `Firestore needs the package @google-cloud/firestore, ${problem}; run: npm install @google-cloud/firestore`,
      { cause: error },
    )
  }
}

function checkOptions({ database, collection, project, emulatorHost }: FirestoreStoreOptions): void {
  const segment = /^[^/\s]{1,500}$/
  if (!segment.test(database))
    throw invalid('database', database, 'a database id, for example github-dynamoq')
  if (!segment.test(collection) || /^(?:\.\.?|__.*__)$/.test(collection)) {
    throw invalid('collection', collection, 'the id of a top-level collection')
  }
  if (project !== undefined && !segment.test(project)) throw invalid('project', project, 'a project id')
  if (emulatorHost === undefined) return
  if (!/^[^/\s]+:\d{1,5}$/.test(emulatorHost)) throw invalid('emulator host', emulatorHost, 'host:port')
  if (project === undefined) {
    throw new SignalboxError('config_invalid', 'Firestore emulator: name a project, any name will do')
  }
}

function invalid(what: string, value: string, wanted: string): SignalboxError {
  return new SignalboxError(
    'invalid_argument',
    `Firestore ${what} '${value.slice(0, 60)}': expected ${wanted}`,
  )
}

/** Plain text and no search for credentials, which would ask the network. */
function emulator(emulatorHost: string): object {
  const split = emulatorHost.lastIndexOf(':')
  return {
    servicePath: emulatorHost.slice(0, split),
    port: Number(emulatorHost.slice(split + 1)),
    sslCreds: grpc.credentials.createInsecure(),
    clientOptions: { universeDomain: 'googleapis.com' },
  }
}

async function projectOf(client: { getProjectId(): Promise<string> | undefined }): Promise<string> {
  try {
    const project = await client.getProjectId()
    if (project !== undefined && project !== '') return project
  } catch (error) {
    throw noProject(error)
  }
  throw noProject(undefined)
}

function noProject(cause: unknown): SignalboxError {
  return new SignalboxError(
    'config_invalid',
    'Firestore: no project; name one (--gcp-project, GCP_PROJECT or GOOGLE_CLOUD_PROJECT) or sign in with credentials that carry one',
    { cause },
  )
}

/** What the engine wants in each call's headers: routing, and for an emulator that we are its owner. */
function metadata(documents: Documents, place: Place, emulated: boolean): grpc.Metadata {
  const headers = new grpc.Metadata()
  headers.set('google-cloud-resource-prefix', documents.database)
  const routing = `project_id=${encodeURIComponent(place.project)}&database_id=${encodeURIComponent(place.database)}`
  headers.set('x-goog-request-params', routing)
  if (emulated) headers.set('authorization', 'Bearer owner')
  return headers
}
