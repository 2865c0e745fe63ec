import { afterAll, beforeAll, describe } from 'vitest'
import {
  conformanceTarget,
  createTable,
  namedEngine,
  stringKeys,
  tableTarget,
  type DynamodbEngine,
  type Table,
} from '../../../test/support/engines/dynamodb.ts'
import { startDynoxide } from '../../../test/support/engines/dynoxide.ts'
import { expectSuites, storeConformance } from '../conformance/store-suite.ts'
import { tableSuite } from './testing/table-suite.ts'

let engine: DynamodbEngine
const tables: Table[] = []
beforeAll(async () => {
  engine = namedEngine() ?? (await startDynoxide())
  tables.push(await createTable(engine), await createTable(engine, stringKeys))
}, 120_000)
afterAll(async () => {
  for (const table of tables) await table.drop()
  await engine.stop()
})

storeConformance('dynamodb, the turn table', () => conformanceTarget(engine, tables[0]!), {
  watch: false,
  keys: 'decimal',
})
storeConformance('dynamodb, a table with string keys', () => conformanceTarget(engine, tables[1]!), {
  watch: false,
})
describe('dynamodb, a shared turn table', () => tableSuite(() => tableTarget(engine, tables[0]!)))

expectSuites(2)
