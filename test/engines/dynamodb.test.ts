/**
 * The DynamoDB driver against what people run locally: the whole contract on each engine, and on moto again with nothing
 * allowed but the policy of the reference.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expectSuites, storeConformance } from '../../src/drivers/conformance/store-suite.ts'
import { tableSuite } from '../../src/drivers/dynamodb/testing/table-suite.ts'
import type { Store } from '../../src/ports/store.ts'
import { decimalKey } from '../../src/ports/store.ts'
import {
  conformanceTarget,
  createTable,
  namedEngine,
  openStore,
  stringKeys,
  tableTarget,
  type DynamodbEngine,
  type Table,
} from '../support/engines/dynamodb.ts'
import { startDynamodbLocal } from '../support/engines/dynamodb-local.ts'
import { MOTO_ACCOUNT, startMoto, type MotoEngine } from '../support/engines/moto.ts'
import { signalbox } from '../support/processes.ts'

const named = namedEngine()
const engines: Record<string, () => Promise<DynamodbEngine>> =
  named === undefined
    ? { 'DynamoDB Local': startDynamodbLocal, moto: startMoto }
    : { [named.endpoint]: () => Promise.resolve(named) }

describe.each(Object.entries(engines))('on %s', (_, start) => {
  let engine: DynamodbEngine
  const tables: Table[] = []
  beforeAll(async () => {
    engine = await start()
    tables.push(await createTable(engine), await createTable(engine, stringKeys))
  })
  afterAll(async () => {
    for (const table of tables) await table.drop()
    await engine.stop()
  })

  storeConformance('the turn table', () => conformanceTarget(engine, tables[0]!), {
    watch: false,
    keys: 'decimal',
  })
  storeConformance('a table with string keys', () => conformanceTarget(engine, tables[1]!), { watch: false })
  describe('a shared turn table', () => tableSuite(() => tableTarget(engine, tables[0]!)))
})

/** The policy in references/turn-queue-dynamo-q.md, whole. */
const REFERENCE_ACTIONS = [
  'dynamodb:UpdateItem',
  'dynamodb:Query',
  'dynamodb:PutItem',
  'dynamodb:GetItem',
  'dynamodb:DeleteItem',
  'dynamodb:ConditionCheckItem',
]

describe('under an IAM policy', () => {
  let moto: MotoEngine
  let table: Table
  /** The engine as a user sees it who may do these actions on the table. */
  const as = async (actions: readonly string[]): Promise<DynamodbEngine> => {
    const arn = `arn:aws:dynamodb:${moto.region}:${MOTO_ACCOUNT}:table/${table.name}`
    return { ...moto, credentials: await moto.createUser(actions, arn) }
  }
  let allowed: DynamodbEngine
  const lacking = new Map<string, DynamodbEngine>()

  beforeAll(async () => {
    moto = await startMoto()
    table = await createTable(moto)
    allowed = await as(REFERENCE_ACTIONS)
    for (const action of REFERENCE_ACTIONS) {
      lacking.set(action, await as(REFERENCE_ACTIONS.filter((other) => other !== action)))
    }
    await moto.enforcePolicies()
  })
  afterAll(() => moto.stop())

  storeConformance('the reference’s six actions on its table', () => conformanceTarget(allowed, table), {
    watch: false,
    keys: 'decimal',
  })

  const at = (n: number) => ['p', decimalKey(n)] as const
  const calls: Record<string, (store: Store) => Promise<unknown>> = {
    'dynamodb:GetItem': (store) => store.get(at(1)),
    'dynamodb:Query': (store) => store.list({ partition: 'p' }, { limit: 1 }),
    'dynamodb:PutItem': (store) => store.commit([{ key: at(1), expect: 'absent', op: 'put', value: 1 }]),
    'dynamodb:DeleteItem': (store) => store.commit([{ key: at(1), expect: 'present', op: 'delete' }]),
    'dynamodb:ConditionCheckItem': (store) =>
      store.commit([
        { key: at(2), expect: 'absent', op: 'check' },
        { key: at(3), expect: 'absent', op: 'check' },
      ]),
  }

  it.each(Object.entries(calls))('says that %s is missing, when it is', async (action, call) => {
    const store = await openStore(lacking.get(action)!, table)
    const message = expect.stringContaining(`may not perform ${action};`)
    await expect(call(store)).rejects.toMatchObject({ code: 'permission_denied', message })
    await store.close()
  })

  it('takes turns and passes the doctor with the six actions', async () => {
    const { accessKeyId = '', secretAccessKey = '' } = allowed.credentials ?? {}
    const env = {
      AWS_REGION: moto.region,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      DYNAMODB_ENDPOINT_URL: moto.endpoint,
      SIGNALBOX_BACKEND: 'aws',
      SIGNALBOX_QUEUE_TABLE: table.name,
    }
    for (const command of [['doctor'], ['run', 'deploy', '--', 'true'], ['show', 'deploy']]) {
      const running = signalbox(['turn', ...command], { env })
      expect(await running.exited, running.out() + running.err()).toBe(0)
    }
  })

  it('never needs UpdateItem, though the reference’s policy has it', async () => {
    const store = await openStore(lacking.get('dynamodb:UpdateItem')!, table)
    for (const call of Object.values(calls)) await call(store)
    await store.close()
  })

  it('says that the credentials are wrong, when they are', async () => {
    const credentials = { ...allowed.credentials!, secretAccessKey: 'another' }
    const store = await openStore({ ...allowed, credentials }, table)
    await expect(store.get(at(1))).rejects.toMatchObject({ code: 'unauthenticated' })
    await store.close()
  })
})

// Two tables on each engine, and one under the policy.
expectSuites(2 * Object.keys(engines).length + 1)
