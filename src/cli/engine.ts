/**
 * Which engine a command works on, one rule for all: a cloud engine that was chosen explicitly (`--backend`,
 * SIGNALBOX_BACKEND), else a server (`connect.ts` finds out which).
 *
 * Invariants: what a caller writes goes before the environment, so `--url` beats SIGNALBOX_BACKEND; an input that the
 * chosen backend has no use for is refused if it was written, and ignored if it only stands in the environment;
 * whatever can be checked without the network is checked here.
 */
import { SignalboxError, type ErrorCode } from '../kernel/error.ts'
import type { ConnectOptions, Setting } from './context.ts'

type Env = Readonly<Record<string, string | undefined>>

/** What messages call the inputs: `flagNames`, or the options of the library. */
export type InputNames = Readonly<Record<keyof ConnectOptions, string>>

export interface ServerChoice {
  readonly backend: 'server'
}

interface CloudSettings {
  /** Wait for jobs of the dynamo-q tool on the same table, and hold them back. */
  readonly guard: boolean
  /** What was decided here, and by what. */
  readonly settings: readonly Setting[]
}

export interface AwsChoice extends CloudSettings {
  readonly backend: 'aws'
  readonly table: string
  /** Undefined: what the AWS SDK finds. */
  readonly region: string | undefined
  /** Undefined: what the AWS SDK finds, else the region's. */
  readonly endpoint: string | undefined
}

export interface GcpChoice extends CloudSettings {
  readonly backend: 'gcp'
  readonly collection: string
  readonly database: string
  /** Undefined: the one that the file of GOOGLE_APPLICATION_CREDENTIALS names. */
  readonly project: string | undefined
  readonly emulatorHost: string | undefined
}

export type CloudChoice = AwsChoice | GcpChoice
export type EngineChoice = ServerChoice | CloudChoice
type Backend = EngineChoice['backend']

export const flagNames: InputNames = {
  url: '--url',
  dataDir: '--data-dir',
  backend: '--backend',
  queueTable: '--queue-table',
  gcpProject: '--gcp-project',
  gcpDatabase: '--gcp-database',
  firestoreDatabase: '--firestore-database',
  guard: '--guard',
}

/** As the dynamo-q tool names them. */
export const DEFAULT_TABLE = 'github-actions-dynamo-q-queue'
export const DEFAULT_DATABASE = 'github-dynamoq'

const BACKENDS: Readonly<Record<string, Backend>> = {
  server: 'server',
  aws: 'aws',
  dynamodb: 'aws',
  gcp: 'gcp',
  firestore: 'gcp',
}

const FITS: Readonly<Record<Exclude<keyof ConnectOptions, 'backend'>, readonly Backend[]>> = {
  url: ['server'],
  dataDir: ['server'],
  queueTable: ['aws', 'gcp'],
  gcpProject: ['gcp'],
  gcpDatabase: ['gcp'],
  firestoreDatabase: ['gcp'],
  guard: ['aws', 'gcp'],
}

/** An input with where it came from. */
interface Given {
  readonly value: string
  readonly from: string
}

/**
 * Decides by the rule above.
 *
 * @throws SignalboxError `invalid_argument` that names the flag or variable; `config_invalid` when there is no project
 */
export function chooseEngine(options: ConnectOptions, env: Env, names: InputNames = flagNames): EngineChoice {
  const { value, from } = chosenBackend(options, env, names)
  const backend = BACKENDS[value]
  if (backend === undefined) {
    throw invalid(from, `'${shown(value)}' must be server, aws (or dynamodb) or gcp (or firestore)`)
  }
  refuseMisfits(options, { backend, from, names })
  if (backend === 'server') return { backend }
  const guard = guardOf(options, env, names)
  const shared = [{ name: 'backend', value: backend, from }]
  const guarding = { name: 'guard', ...guard }
  const table =
    written(options, 'queueTable', names) ?? fromEnv(env, 'SIGNALBOX_QUEUE_TABLE') ?? byDefault(DEFAULT_TABLE)
  const choice = backend === 'aws' ? aws(table, env) : gcp(table, options, env, names)
  return { ...choice, guard: guard.value === 'on', settings: [...shared, ...choice.settings, guarding] }
}

/** For people: `DynamoDB table deploys (eu-west-1)`. */
export function describeEngine(choice: CloudChoice): string {
  if (choice.backend === 'aws') {
    const { table, region = 'the region of the AWS SDK', endpoint } = choice
    return `DynamoDB table ${table} (${region}${endpoint === undefined ? '' : `, ${endpoint}`})`
  }
  const { collection, database, project, emulatorHost } = choice
  const where = project === undefined ? 'project of the credentials' : `project ${project}`
  const emulator = emulatorHost === undefined ? '' : `, emulator ${emulatorHost}`
  return `Firestore collection ${collection} of database ${database} (${where}${emulator})`
}

function chosenBackend(options: ConnectOptions, env: Env, names: InputNames): Given {
  const { url, dataDir } = options
  return (
    written(options, 'backend', names) ??
    (url === undefined && dataDir === undefined ? fromEnv(env, 'SIGNALBOX_BACKEND') : undefined) ??
    byDefault('server')
  )
}

function refuseMisfits(
  options: ConnectOptions,
  { backend, from, names }: { readonly backend: Backend; readonly from: string; readonly names: InputNames },
): void {
  for (const [input, fits] of Object.entries(FITS)) {
    const name = input as keyof typeof FITS
    if (options[name] === undefined || fits.includes(backend)) continue
    const wanted = `${fits.length === 1 ? 'backend' : 'backends'} ${fits.join(' and ')}`
    throw invalid(
      names[name],
      `is for the ${wanted}, but the backend here is ${backend} (${from}); choose another one with ${names.backend}, or leave ${names[name]} away`,
    )
  }
}

function aws(table: Given, env: Env): Omit<AwsChoice, 'guard'> {
  if (!/^[a-zA-Z0-9_.-]{3,255}$/.test(table.value)) {
    throw invalid(
      table.from,
      `'${shown(table.value)}' is not the name of a DynamoDB table: 3 to 255 characters of A-Z a-z 0-9 _ . -`,
    )
  }
  // The first two as the AWS SDK has them; it would not read the third, which other AWS tools do.
  const region = fromEnv(env, 'AWS_REGION', 'AWS_DEFAULT_REGION')
  const endpoint = fromEnv(env, 'DYNAMODB_ENDPOINT_URL')
  if (endpoint !== undefined && !isHttpUrl(endpoint.value)) {
    throw invalid(
      endpoint.from,
      `'${shown(endpoint.value)}' is not an http:// or https:// URL; write for example http://127.0.0.1:8000`,
    )
  }
  return {
    backend: 'aws',
    table: table.value,
    region: region?.value,
    endpoint: endpoint?.value,
    settings: settings({
      table,
      region,
      endpoint: endpoint ?? fromEnv(env, 'AWS_ENDPOINT_URL_DYNAMODB', 'AWS_ENDPOINT_URL'),
    }),
  }
}

function gcp(
  collection: Given,
  options: ConnectOptions,
  env: Env,
  names: InputNames,
): Omit<GcpChoice, 'guard'> {
  if (!isCollectionId(collection.value)) {
    throw invalid(
      collection.from,
      `'${shown(collection.value)}' is not the id of a Firestore collection: 1 to 1500 bytes without /, not ., .. or __…__`,
    )
  }
  const database = databaseOf(options, env, names)
  const emulator = fromEnv(env, 'FIRESTORE_EMULATOR_HOST')
  if (emulator !== undefined && !/^[^/\s]+:\d{1,5}$/.test(emulator.value)) {
    throw invalid(
      emulator.from,
      `'${shown(emulator.value)}' is not host:port; write for example 127.0.0.1:8080`,
    )
  }
  const project = projectOf(options, env, names, emulator)
  return {
    backend: 'gcp',
    collection: collection.value,
    database: database.value,
    project: project?.value,
    emulatorHost: emulator?.value,
    settings: settings({ collection, database, project, emulator }),
  }
}

/** https://firebase.google.com/docs/firestore/quotas#collections_documents_and_fields, without white space. */
function isCollectionId(text: string): boolean {
  return /^[^/\s]+$/.test(text) && !/^(?:\.\.?|__.*__)$/.test(text) && Buffer.byteLength(text) <= 1_500
}

/** Ids: https://cloud.google.com/firestore/docs/manage-databases#database_id */
function databaseOf(options: ConnectOptions, env: Env, names: InputNames): Given {
  const one = written(options, 'gcpDatabase', names)
  const other = written(options, 'firestoreDatabase', names)
  if (one !== undefined && other !== undefined && one.value !== other.value) {
    throw invalid(one.from, `and ${other.from} are the same and contradict each other; give one of them`)
  }
  const database = one ?? other ?? fromEnv(env, 'SIGNALBOX_GCP_DATABASE') ?? byDefault(DEFAULT_DATABASE)
  if (database.value === '(default)' || /^[a-z][a-z0-9-]{2,61}[a-z0-9]$/.test(database.value)) return database
  throw invalid(
    database.from,
    `'${shown(database.value)}' is not the id of a Firestore database: (default), or 4 to 63 characters of a-z 0-9 -, a letter first`,
  )
}

/** Named, or left to the file of credentials. Anything else would have to be asked of the network. */
function projectOf(
  options: ConnectOptions,
  env: Env,
  names: InputNames,
  emulator: Given | undefined,
): Given | undefined {
  const project =
    written(options, 'gcpProject', names) ??
    fromEnv(env, 'SIGNALBOX_GCP_PROJECT', 'GCP_PROJECT', 'GOOGLE_CLOUD_PROJECT', 'GCLOUD_PROJECT')
  if (project !== undefined) {
    if (/^[^/\s]{1,100}$/.test(project.value)) return project
    throw invalid(project.from, `'${shown(project.value)}' is not the id of a Google Cloud project`)
  }
  if (emulator === undefined && fromEnv(env, 'GOOGLE_APPLICATION_CREDENTIALS') !== undefined) return undefined
  throw refusal(
    'config_invalid',
    names.gcpProject,
    `missing; name the Google Cloud project here, or set GCP_PROJECT or GOOGLE_CLOUD_PROJECT`,
  )
}

function guardOf(options: ConnectOptions, env: Env, names: InputNames): Given {
  const guard = written(options, 'guard', names) ?? fromEnv(env, 'SIGNALBOX_GUARD') ?? byDefault('on')
  if (guard.value === 'on' || guard.value === 'off') return guard
  throw invalid(guard.from, `'${shown(guard.value)}' must be on or off`)
}

function written(options: ConnectOptions, input: keyof ConnectOptions, names: InputNames): Given | undefined {
  const value = options[input]
  return value === undefined ? undefined : { value, from: names[input] }
}

/** The first of these variables that is set; an empty one counts as none. */
function fromEnv(env: Env, ...variables: string[]): Given | undefined {
  for (const from of variables) {
    const value = env[from]?.trim()
    if (value !== undefined && value !== '') return { value, from }
  }
  return undefined
}

function byDefault(value: string): Given {
  return { value, from: 'default' }
}

function settings(all: Readonly<Record<string, Given | undefined>>): Setting[] {
  return Object.entries(all).flatMap(([name, found]) => (found === undefined ? [] : [{ name, ...found }]))
}

function isHttpUrl(text: string): boolean {
  return URL.canParse(text) && ['http:', 'https:'].includes(new URL(text).protocol)
}

function shown(text: string): string {
  return text.slice(0, 60)
}

function invalid(input: string, why: string): SignalboxError {
  return refusal('invalid_argument', input, why)
}

function refusal(code: ErrorCode, input: string, why: string): SignalboxError {
  return new SignalboxError(code, `${input}: ${why}`, { details: { field: input } })
}
