import { describe, expect, test } from 'vitest'
import { isSignalboxError } from '../kernel/error.ts'
import type { ConnectOptions } from './context.ts'
import { chooseEngine, describeEngine, flagNames, type CloudChoice } from './engine.ts'

type Env = Readonly<Record<string, string>>

const PROJECT: Env = { GCP_PROJECT: 'shop' }

function cloud(options: ConnectOptions, env: Env = {}): CloudChoice {
  const choice = chooseEngine(options, env)
  if (choice.backend === 'server') throw new Error('a server was chosen')
  return choice
}

/** The code and message of the refusal. */
function refusal(options: ConnectOptions, env: Env = {}): readonly [code: string, message: string] {
  try {
    chooseEngine(options, env)
  } catch (error) {
    if (isSignalboxError(error)) return [error.code, error.message]
    throw error
  }
  throw new Error('was not refused')
}

describe('which engine', () => {
  test.each<[string, ConnectOptions, Env, string]>([
    ['nothing said: a server', {}, {}, 'server'],
    ['the flag', { backend: 'aws' }, {}, 'aws'],
    ['its synonym', { backend: 'dynamodb' }, {}, 'aws'],
    ['the other one', { backend: 'gcp' }, PROJECT, 'gcp'],
    ['its synonym, too', { backend: 'firestore' }, PROJECT, 'gcp'],
    ['the variable', {}, { SIGNALBOX_BACKEND: 'aws' }, 'aws'],
    ['an empty variable is none', {}, { SIGNALBOX_BACKEND: ' ' }, 'server'],
    ['the flag before the variable', { backend: 'server' }, { SIGNALBOX_BACKEND: 'aws' }, 'server'],
    [
      'the flag before the variable, the other way',
      { backend: 'aws' },
      { SIGNALBOX_BACKEND: 'server' },
      'aws',
    ],
    ['an engine before the address of a server', { backend: 'aws' }, { SIGNALBOX_URL: 'http://box' }, 'aws'],
    ['both as variables', {}, { SIGNALBOX_BACKEND: 'aws', SIGNALBOX_URL: 'http://box' }, 'aws'],
    [
      'a server that was written before the variable',
      { url: 'http://box' },
      { SIGNALBOX_BACKEND: 'aws' },
      'server',
    ],
    ['a directory that was written, too', { dataDir: 'data' }, { SIGNALBOX_BACKEND: 'gcp' }, 'server'],
  ])('%s', (_, options, env, backend) => {
    expect(chooseEngine(options, env).backend).toBe(backend)
  })

  test('an unknown one is refused by the name of its input', () => {
    expect(refusal({ backend: 'azure' })).toEqual([
      'invalid_argument',
      "--backend: 'azure' must be server, aws (or dynamodb) or gcp (or firestore)",
    ])
    expect(refusal({}, { SIGNALBOX_BACKEND: 'AWS' })[1]).toMatch(/^SIGNALBOX_BACKEND: 'AWS' must be/)
  })
})

describe('inputs that the backend has no use for', () => {
  const values = {
    url: 'http://box',
    dataDir: 'data',
    queueTable: 'table',
    gcpProject: 'shop',
    gcpDatabase: 'base',
    firestoreDatabase: 'base',
    guard: 'on',
  } as const
  const fits: Record<keyof typeof values, readonly string[]> = {
    url: ['server'],
    dataDir: ['server'],
    queueTable: ['aws', 'gcp'],
    gcpProject: ['gcp'],
    gcpDatabase: ['gcp'],
    firestoreDatabase: ['gcp'],
    guard: ['aws', 'gcp'],
  }
  const pairs = (Object.keys(fits) as (keyof typeof fits)[]).flatMap((input) =>
    ['server', 'aws', 'gcp'].map((backend) => ({ input, backend, fit: fits[input].includes(backend) })),
  )

  test.each(pairs)('$input with $backend: $fit', ({ input, backend, fit }) => {
    const options = { backend, [input]: values[input] }
    if (fit) expect(chooseEngine(options, PROJECT).backend).toBe(backend)
    else {
      const [code, message] = refusal(options, PROJECT)
      expect(code).toBe('invalid_argument')
      expect(message).toMatch(
        new RegExp(`^${flagNames[input]}: is for the backends? .*here is ${backend} \\(--backend\\)`),
      )
    }
  })

  test('without a backend they are refused too, and not taken for one', () => {
    expect(refusal({ gcpProject: 'shop' })[1]).toBe(
      '--gcp-project: is for the backend gcp, but the backend here is server (default); choose another one with --backend, or leave --gcp-project away',
    )
  })

  test('in the environment they are ignored', () => {
    const env = { SIGNALBOX_QUEUE_TABLE: '!', SIGNALBOX_GCP_DATABASE: '!', SIGNALBOX_GUARD: '!' }
    expect(chooseEngine({}, env).backend).toBe('server')
    expect(cloud({ backend: 'aws', queueTable: 'table', guard: 'off' }, env)).toMatchObject({
      table: 'table',
    })
  })
})

describe('DynamoDB', () => {
  test('has the defaults of the dynamo-q tool, guard included', () => {
    expect(cloud({ backend: 'aws' })).toEqual({
      backend: 'aws',
      table: 'github-actions-dynamo-q-queue',
      region: undefined,
      endpoint: undefined,
      guard: true,
      settings: [
        { name: 'backend', value: 'aws', from: '--backend' },
        { name: 'table', value: 'github-actions-dynamo-q-queue', from: 'default' },
        { name: 'guard', value: 'on', from: 'default' },
      ],
    })
  })

  test('takes table and guard from flags before variables, region and endpoint from the environment', () => {
    const env = {
      SIGNALBOX_BACKEND: 'dynamodb',
      SIGNALBOX_QUEUE_TABLE: 'env.table',
      SIGNALBOX_GUARD: 'off',
      AWS_REGION: 'eu-west-1',
      AWS_DEFAULT_REGION: 'us-east-1',
      DYNAMODB_ENDPOINT_URL: 'http://127.0.0.1:8000',
    }
    const choice = cloud({}, env)
    expect(choice).toMatchObject({ table: 'env.table', region: 'eu-west-1', guard: false })
    expect(choice.settings).toEqual([
      { name: 'backend', value: 'aws', from: 'SIGNALBOX_BACKEND' },
      { name: 'table', value: 'env.table', from: 'SIGNALBOX_QUEUE_TABLE' },
      { name: 'region', value: 'eu-west-1', from: 'AWS_REGION' },
      { name: 'endpoint', value: 'http://127.0.0.1:8000', from: 'DYNAMODB_ENDPOINT_URL' },
      { name: 'guard', value: 'off', from: 'SIGNALBOX_GUARD' },
    ])
    expect(describeEngine(choice)).toBe('DynamoDB table env.table (eu-west-1, http://127.0.0.1:8000)')
    const flags = { backend: 'aws', queueTable: 'flag', guard: 'on' }
    expect(cloud(flags, env)).toMatchObject({ table: 'flag', guard: true })
    expect(cloud({ backend: 'aws' }, { AWS_DEFAULT_REGION: 'us-east-1' })).toMatchObject({
      region: 'us-east-1',
    })
  })

  test.each([
    ['ab', false],
    ['abc', true],
    ['a'.repeat(255), true],
    ['a'.repeat(256), false],
    ['A-Z_a.z-9', true],
    ['jobs/deploy', false],
    ['', false],
  ])('a table named %s: %s', (queueTable, fits) => {
    if (fits) expect(cloud({ backend: 'aws', queueTable })).toMatchObject({ table: queueTable })
    else
      expect(refusal({ backend: 'aws', queueTable })).toMatchObject([
        'invalid_argument',
        /^--queue-table: '.*'/,
      ])
  })

  test('what cannot be a URL or a guard is refused by name', () => {
    expect(refusal({ backend: 'aws' }, { DYNAMODB_ENDPOINT_URL: 'localhost:8000' })[1]).toMatch(
      /^DYNAMODB_ENDPOINT_URL: 'localhost:8000' is not an http/,
    )
    expect(refusal({ backend: 'aws', guard: 'yes' })[1]).toBe("--guard: 'yes' must be on or off")
    expect(refusal({ backend: 'aws' }, { SIGNALBOX_GUARD: 'no' })[1]).toBe(
      "SIGNALBOX_GUARD: 'no' must be on or off",
    )
  })
})

describe('Firestore', () => {
  test('takes collection, database and project', () => {
    const choice = cloud({ backend: 'gcp', queueTable: 'queues', gcpDatabase: 'turns', gcpProject: 'shop' })
    expect(choice).toMatchObject({
      collection: 'queues',
      database: 'turns',
      project: 'shop',
      emulatorHost: undefined,
      guard: true,
    })
    expect(describeEngine(choice)).toBe('Firestore collection queues of database turns (project shop)')
  })

  test.each<[Env, string, string]>([
    [{ SIGNALBOX_GCP_PROJECT: 'one', GCP_PROJECT: 'two' }, 'one', 'SIGNALBOX_GCP_PROJECT'],
    [{ GCP_PROJECT: 'two', GOOGLE_CLOUD_PROJECT: 'three' }, 'two', 'GCP_PROJECT'],
    [{ GOOGLE_CLOUD_PROJECT: 'three' }, 'three', 'GOOGLE_CLOUD_PROJECT'],
  ])('finds the project in %j', (env, value, from) => {
    const choice = cloud({ backend: 'gcp' }, env)
    expect(choice).toMatchObject({ project: value, database: 'github-dynamoq' })
    expect(choice.settings).toContainEqual({ name: 'project', value, from })
  })

  test('a file of credentials may name the project; nothing else is asked for it', () => {
    const file = { GOOGLE_APPLICATION_CREDENTIALS: '/key.json' }
    const choice = cloud({ backend: 'gcp' }, file)
    expect(choice).toMatchObject({ project: undefined })
    expect(describeEngine(choice)).toMatch(/\(project of the credentials\)$/)
    const missing = ['config_invalid', expect.stringMatching(/^--gcp-project: missing; .*GCP_PROJECT/)]
    expect(refusal({ backend: 'gcp' })).toEqual(missing)
    expect(refusal({ backend: 'gcp' }, { ...file, FIRESTORE_EMULATOR_HOST: '127.0.0.1:8080' })).toEqual(
      missing,
    )
  })

  test('the database has two flags that must agree', () => {
    const options = { backend: 'gcp', gcpProject: 'shop' }
    expect(cloud({ ...options, firestoreDatabase: 'base' })).toMatchObject({ database: 'base' })
    expect(cloud({ ...options, firestoreDatabase: 'base', gcpDatabase: 'base' })).toMatchObject({
      database: 'base',
    })
    expect(refusal({ ...options, firestoreDatabase: 'base', gcpDatabase: 'other' })).toEqual([
      'invalid_argument',
      '--gcp-database: and --firestore-database are the same and contradict each other; give one of them',
    ])
    expect(cloud(options, { SIGNALBOX_GCP_DATABASE: '(default)' })).toMatchObject({ database: '(default)' })
  })

  test.each<[ConnectOptions, Env, RegExp]>([
    [{ queueTable: 'a/b' }, {}, /^--queue-table: 'a\/b' is not the id of a Firestore collection/],
    [{ queueTable: '.' }, {}, /^--queue-table/],
    [{ queueTable: '..' }, {}, /^--queue-table/],
    [{ queueTable: '__x__' }, {}, /^--queue-table/],
    [{ queueTable: 'é'.repeat(751) }, {}, /^--queue-table/],
    [{ gcpDatabase: 'Base' }, {}, /^--gcp-database: 'Base' is not the id of a Firestore database/],
    [{ gcpDatabase: 'abc' }, {}, /^--gcp-database/],
    [{ firestoreDatabase: '1base' }, {}, /^--firestore-database/],
    [{ gcpProject: 'a b' }, {}, /^--gcp-project: 'a b' is not the id of a Google Cloud project/],
    [
      {},
      { FIRESTORE_EMULATOR_HOST: 'http://127.0.0.1:8080' },
      /^FIRESTORE_EMULATOR_HOST: .* is not host:port/,
    ],
    [{}, { SIGNALBOX_QUEUE_TABLE: 'a/b' }, /^SIGNALBOX_QUEUE_TABLE/],
  ])('%j, %j is refused by name', (options, env, message) => {
    const [code, said] = refusal({ backend: 'gcp', ...options }, { ...PROJECT, ...env })
    expect([code, said]).toEqual(['invalid_argument', expect.stringMatching(message)])
  })

  test('a collection of 1500 bytes is the longest', () => {
    expect(cloud({ backend: 'gcp', queueTable: 'é'.repeat(750) }, PROJECT).backend).toBe('gcp')
  })
})

test('the library has names of its own for the inputs', () => {
  const names = { ...flagNames, queueTable: 'table', backend: 'backend' }
  expect(() => chooseEngine({ queueTable: 'x' }, {}, names)).toThrow(
    /^table: is for .* with backend, or leave table away/,
  )
})
