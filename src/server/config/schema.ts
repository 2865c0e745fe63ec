/**
 * The configuration: every key with its default, its meaning and its flag. This schema is the single source: the loader
 * checks by it, `signalbox serve` takes its flags from it, `signalbox config print` and docs/configuration.md show it.
 *
 * To add a key: one line here, made by a reader of `values.ts`; then `node tools/generate-docs.ts`.
 */
import { z } from 'zod'
import { basicUsers, providerList } from './lease-values.ts'
import { awsProfile, grpcPort, pemFile, queueList, queueName } from './message-values.ts'
import {
  channelSection,
  checkNotifications,
  mailAddress,
  ruleList,
  smtpHost,
  smtpPassword,
  smtpUser,
} from './notification-values.ts'
import { oidcIssuers } from './oidc-values.ts'
import {
  awsRegion,
  collectionId,
  databaseId,
  emulatorAddress,
  endpointUrl,
  projectId,
  tableName,
} from './store-values.ts'
import {
  awsName,
  awsVariable,
  headerName,
  namePrefix,
  roleArn,
  targetUrl,
  triggerKey,
} from './trigger-values.ts'
import { choice, duration, host, integer, path, port, toggle, webAddress } from './values.ts'

interface KeyFacts {
  /** The flag of `signalbox serve` that sets this key. */
  readonly flag?: `--${string}`
  /** Further environment variables, weaker than the regular one; the strongest first. */
  readonly alsoEnv?: readonly string[]
  /** Never shown: `config print` and messages mask the value. */
  readonly secret?: boolean
}

/** Facts about keys that zod has no place for. */
export const keyFacts = z.registry<KeyFacts>()

const SECOND = 1_000
const MIB = 1024 * 1024
const DAY = 86_400 * SECOND

const key = <S extends z.ZodType>(schema: S, meaning: string, facts: KeyFacts = {}): S => {
  const described = schema.describe(meaning)
  keyFacts.add(described, facts)
  return described
}

const server = z.strictObject({
  host: key(host().prefault('127.0.0.1'), 'Address to listen on.', { flag: '--host' }),
  port: key(
    port().prefault(8080),
    'TCP port of the HTTP API and the console; 0 takes any free one. `PORT` is honoured too.',
    { flag: '--port', alsoEnv: ['PORT'] },
  ),
  grpcPort: key(
    grpcPort().prefault('auto'),
    'TCP port of gRPC, on the same address, for message queues; 0 takes any free one, `off` none. `auto` is 50052 (with `port: 0` any free one); if that is taken, the server says so and goes without gRPC.',
    { flag: '--grpc-port' },
  ),
  grpcTls: z
    .strictObject({
      certificate: key(pemFile().optional(), 'gRPC with TLS: the file of its certificate, with its chain.'),
      key: key(pemFile().optional(), 'The file of its key.'),
      clientCa: key(
        pemFile().optional(),
        'Admit only gRPC clients with a certificate of this authority; tokens are asked for all the same.',
      ),
    })
    .prefault({}),
  publicUrl: key(
    webAddress().optional(),
    'Address under which people and clients reach this server, if a proxy stands before it.',
    { flag: '--public-url' },
  ),
  auth: key(
    choice('authentication mode', ['auto', 'required']).prefault('auto'),
    'Who must present a token: with `required` everybody but the owner of the data directory on its socket; with `auto` the same, except on a server that listens on this machine alone and has no public address.',
    { flag: '--auth' },
  ),
  insecure: key(
    toggle().prefault(false),
    'Listen beyond this machine although there is no token; with `auth: auto` nobody has to sign in. For networks that are protected otherwise.',
    { flag: '--insecure' },
  ),
  drainDelay: key(
    duration({ ms: 0 }, { ms: 3_600 * SECOND }).prefault('0s'),
    'After SIGTERM: how long to go on serving while `/readyz` fails already, so that a load balancer can take this server out first. Longer than two of its health checks.',
  ),
  shutdownGrace: key(
    duration({ ms: 0 }, { ms: 3_600 * SECOND }).prefault('25s'),
    'After SIGTERM and the drain delay: how long calls in flight may take to finish.',
  ),
  requestTimeout: key(
    duration({ ms: SECOND }, { ms: 3_600 * SECOND }).prefault('30s'),
    'How long a client may take to send a request whole. Waiting for an answer is not limited by it.',
  ),
  bodyLimitBytes: key(integer(1_024, 64 * MIB).prefault(MIB), 'Largest request body.'),
})

/** Defaults and variables of the cloud engines are those that their own tools read, except for a table of the server's own. */
const store = z.strictObject({
  engine: key(
    choice('store engine', ['sqlite', 'dynamodb', 'firestore']).prefault('sqlite'),
    'Where records are kept: in the data directory, or in a cloud store that several servers may share.',
    { flag: '--store' },
  ),
  groupCommit: key(
    toggle().prefault(true),
    'sqlite: one durable transaction for all commits of one turn of the event loop. Off: one for each, several times slower.',
  ),
  dynamodb: z
    .strictObject({
      table: key(
        tableName().prefault('signalbox'),
        'The DynamoDB table, with the key attributes `queueName` (string) and `entryTimestamp` (number), and time to live on `lastUpdated`.',
      ),
      region: key(awsRegion().optional(), 'Its region; default: what the AWS SDK finds.', {
        alsoEnv: ['AWS_REGION', 'AWS_DEFAULT_REGION'],
      }),
      endpoint: key(
        endpointUrl().optional(),
        'URL of an engine that is not in the cloud, such as DynamoDB Local.',
        { alsoEnv: ['DYNAMODB_ENDPOINT_URL'] },
      ),
    })
    .prefault({}),
  firestore: z
    .strictObject({
      project: key(projectId().optional(), 'The Google Cloud project; default: the one of the credentials.', {
        alsoEnv: ['GCP_PROJECT', 'GOOGLE_CLOUD_PROJECT'],
      }),
      database: key(databaseId().prefault('(default)'), 'The Firestore database.'),
      collection: key(
        collectionId().prefault('signalbox'),
        'The collection, with a composite index on `queueName` and `entryTimestamp`, both ascending.',
      ),
      emulatorHost: key(emulatorAddress().optional(), 'Address of an emulator.', {
        alsoEnv: ['FIRESTORE_EMULATOR_HOST'],
      }),
    })
    .prefault({}),
})

const leases = z.strictObject({
  stabilisationWindow: key(
    duration({ ms: 0 }, { ms: DAY }).prefault('5m'),
    'Merge-queue leases: how long no new request may have come before the highest is granted. The default of providers that do not set it.',
    { flag: '--stabilisation-window' },
  ),
  ttl: key(
    duration({ ms: SECOND }, { ms: DAY }).prefault('30s'),
    'Merge-queue leases: a waiting request that was silent for longer is forgotten. The default of providers that do not set it.',
    { flag: '--ttl' },
  ),
  expectedBuildCount: key(
    integer(0, 100_000).prefault(4),
    'Merge-queue leases: with this many requests the highest is granted without waiting for the window. The default of providers that do not set it.',
    { flag: '--expected-build-count' },
  ),
  maxLease: key(
    duration({ ms: SECOND }, { ms: 3_650 * DAY }).prefault('6h'),
    'Merge-queue leases: a holder that has not released after this long is taken for dead. The default of providers that do not set it.',
  ),
  coolDown: key(
    duration({ ms: 0 }, { ms: DAY }).prefault('0s'),
    'Merge-queue leases: how long nobody is granted after a holder was taken for dead. The default of providers that do not set it.',
  ),
  anyRepository: key(
    toggle().prefault(false),
    'Merge-queue leases: make a provider, with the defaults, for every repository and base ref that asks.',
    { flag: '--any-repository' },
  ),
})

const messages = z.strictObject({
  engine: key(
    choice('message engine', ['auto', 'sqlite', 'sqs', 'off']).prefault('auto'),
    'Where message queues are: in the data directory (`sqlite`, with `store.engine: sqlite` only), on Amazon SQS, or nowhere. `auto`: in the data directory if there is one, else nowhere.',
    { flag: '--messages' },
  ),
  defaultQueue: key(
    queueName().prefault('default'),
    'Message queues: the one that is meant by gRPC calls that name none.',
  ),
  queues: key(
    queueList().optional(),
    'Message queues by name. With `sqlite` they are made at the start, with these options from then on; with `sqs` they must exist, and their options there count.',
  ),
  sqs: z
    .strictObject({
      region: key(
        awsRegion().optional(),
        'Region of the queues on Amazon SQS; default: what the AWS SDK finds.',
      ),
      endpoint: key(
        endpointUrl().optional(),
        'URL of an engine that is not in the cloud, such as ElasticMQ.',
        { alsoEnv: ['AWS_SQS_ENDPOINT_URL'] },
      ),
      profile: key(awsProfile().optional(), 'A profile of the AWS configuration files.'),
    })
    .prefault({}),
})

const jobs = z.strictObject({
  folder: key(
    path().optional(),
    'Background jobs: run those that the modules in this folder export, in worker processes beside the server.',
    { flag: '--jobs' },
  ),
  concurrency: key(
    integer(1, 1_000).prefault(16),
    'Background jobs: so many at a time in each of these processes.',
  ),
  processes: key(integer(1, 256).prefault(1), 'Background jobs: so many processes.'),
  grace: key(
    duration({ ms: 0 }, { ms: 3_600 * SECOND }).prefault('25s'),
    'Background jobs: after SIGTERM, how long those at work may take before they are told to stop and returned to their queue.',
  ),
  keepRunsFor: key(
    duration({ ms: 60 * SECOND }, { ms: 3_650 * DAY }).prefault('7d'),
    'Background jobs: how long the record of a run is kept after its end, where the job does not say.',
  ),
  keepRuns: key(
    integer(1, 10_000_000).prefault(10_000),
    'Background jobs: of each job the newest so many records of ended runs are kept.',
  ),
})

/** The names of the settings that our users have had before stand beside ours (trigger-values.ts). */
const eventBridge = z.strictObject({
  apiKey: key(triggerKey().optional(), 'EventBridge: the key with which it calls this server.', {
    secret: true,
    alsoEnv: [awsVariable('APIKey')],
  }),
  previousApiKey: key(
    triggerKey().optional(),
    'EventBridge: a second key that is taken too, for the time of a rotation.',
    { secret: true, alsoEnv: [awsVariable('PreviousAPIKey')] },
  ),
  targetRoleArn: key(
    roleArn().optional(),
    'EventBridge: the role with which it may call the API destination (`events:InvokeApiDestination`).',
    { alsoEnv: [awsVariable('TargetRoleArn')] },
  ),
  apiConnectionName: key(
    awsName('connection', 'shop-test-RunJob-Connection').optional(),
    'EventBridge: the connection; made if there is none of this name, else used.',
    { alsoEnv: [awsVariable('ApiConnectionName')] },
  ),
  apiDestinationName: key(
    awsName('API destination', 'shop-test-RunJob-ApiDestination').optional(),
    'EventBridge: the API destination; made if there is none of this name, else used.',
    { alsoEnv: [awsVariable('ApiDestinationName')] },
  ),
  authHeader: key(
    headerName().prefault('X-Aws-Event-Bridge-Api-Key'),
    'EventBridge: the header that carries the key.',
    { alsoEnv: [awsVariable('AuthHeader')] },
  ),
  targetUrl: key(
    targetUrl().optional(),
    'EventBridge: the address under which it reaches this server, by https; default: `server.publicUrl`.',
    { alsoEnv: ['EB_TARGET_URL'] },
  ),
  namespace: key(
    awsName('namespace', 'shop-test').optional(),
    'EventBridge: the value of the tag `signalbox`, by which this installation knows what is its own; default: the name of the connection.',
  ),
  namePrefix: key(
    namePrefix().optional(),
    'EventBridge: put before the name of a schedule, which gives the name of its rule; default: nothing.',
  ),
  region: key(awsRegion().optional(), 'EventBridge: the region; default: what the AWS SDK finds.', {
    alsoEnv: ['AWS_REGION', 'AWS_DEFAULT_REGION'],
  }),
  endpoint: key(endpointUrl().optional(), 'EventBridge: URL of an engine that is not in the cloud.', {
    alsoEnv: ['AWS_ENDPOINT_URL_EVENTBRIDGE'],
  }),
  schedulerRoleArn: key(
    roleArn().optional(),
    'EventBridge Scheduler: the role with which it may put events on the default bus (`events:PutEvents`); default: `targetRoleArn`.',
  ),
  schedulerEndpoint: key(
    endpointUrl().optional(),
    'EventBridge Scheduler: URL of an engine that is not in the cloud; default: `endpoint`.',
    { alsoEnv: ['AWS_ENDPOINT_URL_SCHEDULER'] },
  ),
})

const schedules = z.strictObject({
  trigger: key(
    choice('trigger', ['auto', 'embedded', 'eventbridge', 'eventbridge-scheduler', 'off']).prefault('auto'),
    'Who fires schedules: this server and those that share its store (`embedded`), rules of Amazon EventBridge (`eventbridge`), EventBridge Scheduler, or nobody here (`off`). `auto` is `embedded` where jobs can run (store and message queues in the data directory, or `store.engine: dynamodb` with `messages.engine: sqs`), else `off`.',
    { flag: '--schedules' },
  ),
  poll: key(
    duration({ ms: 100 }, { ms: 60 * SECOND }, '5s').optional(),
    'Schedules: how often to look for what other servers changed; due times are waited for exactly. Default: 1s on a store of its own, else 5s.',
  ),
  eventBridge: eventBridge.prefault({}),
})

const notifications = z
  .strictObject({
    channels: key(
      channelSection().optional(),
      'Notifications: whom they go to, by name. Webhooks are signed with their secret; e-mail needs `notifications.smtp`; `slack` is an incoming webhook of Slack, Mattermost or Rocket.Chat. Without channels nothing is sent.',
      { secret: true },
    ),
    rules: key(
      ruleList().optional(),
      'Notifications: which channels are told of what. All rules that fit count; a schedule with `notify` of its own follows that alone.',
    ),
    foldFor: key(
      duration({ ms: 0 }, { ms: 7 * DAY }).prefault('1h'),
      'Notifications: the first of a kind about a schedule or job goes at once; repeats within this time are told as one, at its end. 0s: each is told.',
    ),
    giveUpAfter: key(
      duration({ ms: 60 * SECOND }, { ms: 30 * DAY }).prefault('3d'),
      'Notifications: how long one is tried that its receiver does not take.',
    ),
    smtp: z
      .strictObject({
        host: key(smtpHost().optional(), 'Notifications: the server that takes e-mail.'),
        port: key(port().prefault(587), 'Its port; 465 is usual for `implicit`, 25 or 1025 for `off`.'),
        tls: key(
          choice('way to encrypt', ['starttls', 'implicit', 'off']).prefault('starttls'),
          'How the connection to it is encrypted; `starttls` refuses a server that cannot.',
        ),
        user: key(smtpUser().optional(), 'Whom to sign in as there; absent: nobody.'),
        password: key(smtpPassword().optional(), 'The password for that.', { secret: true }),
        from: key(mailAddress().optional(), 'The sender of e-mail; a channel may have its own.'),
      })
      .prefault({}),
  })
  .superRefine(checkNotifications)

/** The whole configuration, strict: an unknown key is refused. */
export const configSchema = z.strictObject({
  dataDir: key(
    path().prefault('./data'),
    'Directory of the embedded store; a relative one counts from the working directory.',
    { flag: '--data-dir' },
  ),
  server: server.prefault({}),
  store: store.prefault({}),
  log: z
    .strictObject({
      level: key(
        choice('log level', ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).prefault('info'),
        'Least important level to log; `debug` adds one line a request.',
        { flag: '--log-level' },
      ),
      format: key(
        choice('log format', ['auto', 'json', 'text']).prefault('auto'),
        '`json` for machines, `text` for people, `auto` for text on a terminal and JSON elsewhere.',
        { flag: '--log-format' },
      ),
    })
    .prefault({}),
  leases: leases.prefault({}),
  messages: messages.prefault({}),
  jobs: jobs.prefault({}),
  schedules: schedules.prefault({}),
  notifications: notifications.prefault({}),
  repositories: key(
    providerList().optional(),
    'Merge-queue leases: the providers, one for each repository and base ref.',
  ),
  auth: z
    .strictObject({
      basic: key(
        basicUsers().optional(),
        'Users who may use merge-queue leases, by name and password. With any, everybody must sign in.',
        { secret: true },
      ),
      oidc: key(
        oidcIssuers().optional(),
        'Whose OIDC tokens are credentials, so that jobs of GitHub Actions need no secret: for each issuer the audience and the rules, of which the first that holds decides. With any, everybody must sign in.',
      ),
    })
    .prefault({}),
  metrics: z
    .strictObject({ enabled: key(toggle().prefault(true), 'Serve Prometheus metrics under `/metrics`.') })
    .prefault({}),
})

/** The configuration in force: every key has a value. */
export type Config = z.output<typeof configSchema>

export { isLoopback } from './loopback.ts'
