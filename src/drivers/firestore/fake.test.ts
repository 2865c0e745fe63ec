/** The Firestore that the tests of this folder run on is held to what Firestore documents. */
import { afterEach, describe, expect, it } from 'vitest'
import { firestoreBehaviour } from '../../../test/support/engines/firestore-fake/behaviour.ts'
import {
  referenceIndex,
  startFirestoreFake,
  type FirestoreFake,
  type FirestoreFakeOptions,
} from '../../../test/support/engines/firestore-fake/index.ts'
import { bareClient, code, type Message } from '../../../test/support/engines/firestore-fake/protocol.ts'

firestoreBehaviour('the fake', async () => {
  const fake = await startFirestoreFake()
  return { host: fake.host, project: 'demo', database: 'github-dynamoq', stop: () => fake.close() }
})

describe('the fake', () => {
  const open: (() => void | Promise<void>)[] = []
  afterEach(async () => {
    for (const close of open.splice(0).reverse()) await close()
  })
  const start = async (options: FirestoreFakeOptions = {}) => {
    const fake: FirestoreFake = await startFirestoreFake(options)
    const client = bareClient(fake.host)
    open.push(
      () => fake.close(),
      () => client.close(),
    )
    return { fake, client }
  }
  const database = 'projects/demo/databases/d'
  const parent = `${database}/documents`
  const filter = (fieldPath: string, op: string): Message => ({
    fieldFilter: { field: { fieldPath }, op, value: { integerValue: '1' } },
  })
  const query = (filters: Message[], ...orders: [path: string, direction: string][]): Message => ({
    parent,
    structuredQuery: {
      from: [{ collectionId: 'queues' }],
      where: { compositeFilter: { op: 'AND', filters } },
      orderBy: orders.map(([fieldPath, direction]) => ({ field: { fieldPath }, direction })),
    },
  })
  const [isQueue, isKey, isAbove] = [
    filter('queueName', 'EQUAL'),
    filter('entryTimestamp', 'EQUAL'),
    filter('entryTimestamp', 'GREATER_THAN'),
  ]

  it.each([
    ['one equality', query([isQueue])],
    ['two equalities', query([isQueue, isKey])],
    ['an inequality', query([isAbove])],
    ['an inequality, descending', query([isAbove], ['entryTimestamp', 'DESCENDING'])],
    ['the composite index', query([isQueue, isAbove])],
    ['the composite index, ordered', query([isQueue, isAbove], ['entryTimestamp', 'ASCENDING'])],
    [
      'the composite index, with the name',
      query([isQueue], ['entryTimestamp', 'ASCENDING'], ['__name__', 'ASCENDING']),
    ],
  ])('serves %s with the one index of dynamo-q', async (_, request) => {
    const { client } = await start({ indexes: [referenceIndex('queues')] })
    expect(await client.runQuery(request)).toHaveLength(1)
  })

  it.each([
    ['another direction', query([isQueue, isAbove], ['entryTimestamp', 'DESCENDING'])],
    [
      'another direction of the name',
      query([isQueue], ['entryTimestamp', 'ASCENDING'], ['__name__', 'DESCENDING']),
    ],
    ['another field', query([isQueue], ['lastUpdated', 'ASCENDING'])],
    ['the fields in another order', query([isKey], ['queueName', 'ASCENDING'])],
    ['one field more', query([isQueue], ['entryTimestamp', 'ASCENDING'], ['lastUpdated', 'ASCENDING'])],
  ])('refuses %s', async (_, request) => {
    const { client } = await start({ indexes: [referenceIndex('queues')] })
    await expect(client.runQuery(request)).rejects.toMatchObject({ code: code.FAILED_PRECONDITION })
  })

  it('refuses the composite index of another collection', async () => {
    const { client } = await start({ indexes: [referenceIndex('others')] })
    const refused = client.runQuery(query([isQueue, isAbove]))
    await expect(refused).rejects.toMatchObject({ code: code.FAILED_PRECONDITION })
  })

  it('refuses what it does not know, and databases that it has not', async () => {
    const { client } = await start({ databases: ['d'] })
    const unknown = client.runQuery(query([filter('queueName', 'ARRAY_CONTAINS')]))
    await expect(unknown).rejects.toMatchObject({ code: code.UNIMPLEMENTED })
    const masked = { update: { name: `${parent}/queues/a`, fields: {} }, updateMask: { fieldPaths: ['x'] } }
    await expect(client.commit({ database, writes: [masked] })).rejects.toMatchObject({
      code: code.UNIMPLEMENTED,
    })
    const elsewhere = client.commit({ database: 'projects/demo/databases/x', writes: [] })
    await expect(elsewhere).rejects.toMatchObject({ code: code.NOT_FOUND })
  })

  it('fails calls before or after their effect, as often as told, and counts them', async () => {
    const { fake, client } = await start()
    const create = (id: string): Promise<Message> =>
      client.commit({ database, writes: [{ update: { name: `${parent}/c/${id}`, fields: {} } }] })
    const isThere = async (id: string): Promise<boolean> =>
      (await client.batchGetDocuments({ database, documents: [`${parent}/c/${id}`] }))[0].found !== undefined
    fake.faults.fail('Commit', { code: code.UNAVAILABLE, times: 2 })
    fake.faults.fail('Commit', { code: code.INTERNAL, when: 'after' })
    await expect(create('a')).rejects.toMatchObject({ code: code.UNAVAILABLE })
    await expect(create('a')).rejects.toMatchObject({ code: code.UNAVAILABLE })
    expect(await isThere('a')).toBe(false)
    await expect(create('a')).rejects.toMatchObject({ code: code.INTERNAL })
    expect(await isThere('a')).toBe(true)
    await create('b')
    expect(Object.fromEntries(fake.requests)).toEqual({ Commit: 4, BatchGetDocuments: 2 })
  })

  it('holds a call until it is released', async () => {
    const { fake, client } = await start()
    const name = `${parent}/c/a`
    const hold = fake.faults.hold('Commit', 'after')
    let answered = false
    const commit = client
      .commit({ database, writes: [{ update: { name, fields: {} } }] })
      .then(() => (answered = true))
    await hold.reached
    expect((await client.batchGetDocuments({ database, documents: [name] }))[0].found.name).toBe(name)
    expect(answered).toBe(false)
    hold.release()
    await commit
  })
})
