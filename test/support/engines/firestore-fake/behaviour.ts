/**
 * What Firestore documents and a store relies on, as tests of any engine that speaks its protocol: the fake runs them in
 * `npm test`, an emulator in `npm run test:engines`, and whoever points them at it the service itself.
 *
 * Where Firestore has two lawful ways (a transaction that lost may wait, or be ABORTED), the tests take either.
 */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bareClient, code, type BareClient, type Message } from './protocol.ts'

interface Engine {
  readonly host: string
  readonly project: string
  readonly database: string
  readonly stop: () => Promise<void>
}

/** The names and messages of one test, in a collection nobody else has. */
interface Scene {
  readonly client: BareClient
  readonly database: string
  readonly parent: string
  readonly collection: string
  name(id: string): string
  set(id: string, fields: Record<string, Message>, currentDocument?: Message): Message
  remove(id: string, currentDocument?: Message): Message
  commit(...writes: Message[]): Promise<Message>
  get(id: string): Promise<Message>
  query(partition: string, more?: Message): Message
}

const text = (stringValue: string): Message => ({ stringValue })
const whole = (n: number): Message => ({ integerValue: String(n) })
const entry = (queue: string, n: number): Record<string, Message> => ({
  queueName: text(queue),
  entryTimestamp: whole(n),
})

/** Registers the tests. */
export function firestoreBehaviour(title: string, start: () => Promise<Engine>): void {
  describe(`Firestore's behaviour: ${title}`, () => {
    let engine: Engine
    let client: BareClient
    beforeAll(async () => {
      engine = await start()
      client = bareClient(engine.host)
    })
    afterAll(async () => {
      client.close()
      await engine.stop()
    })
    const scene = (database = engine.database): Scene => makeScene(client, engine.project, database)
    commits(scene)
    transactions(scene)
    queries(scene)
    listening(scene)
  })
}

function makeScene(client: BareClient, project: string, id: string): Scene {
  const database = `projects/${project}/databases/${id}`
  const parent = `${database}/documents`
  const collection = `c-${randomUUID()}`
  const name = (document: string): string => `${parent}/${collection}/${document}`
  const guard = (currentDocument?: Message): Message => (currentDocument ? { currentDocument } : {})
  return {
    client,
    database,
    parent,
    collection,
    name,
    set: (document, fields, condition) => ({ update: { name: name(document), fields }, ...guard(condition) }),
    remove: (document, condition) => ({ delete: name(document), ...guard(condition) }),
    commit: (...writes) => client.commit({ database, writes }),
    async get(document) {
      const answers = await client.batchGetDocuments({ database, documents: [name(document)] })
      return answers.find(({ found }) => found)?.found
    },
    query: (partition, more = {}) => ({
      from: [{ collectionId: collection }],
      where: {
        compositeFilter: {
          op: 'AND',
          filters: [
            { fieldFilter: { field: { fieldPath: 'queueName' }, op: 'EQUAL', value: text(partition) } },
            {
              fieldFilter: {
                field: { fieldPath: 'entryTimestamp' },
                op: 'GREATER_THAN_OR_EQUAL',
                value: whole(0),
              },
            },
          ],
        },
      },
      orderBy: [{ field: { fieldPath: 'entryTimestamp' }, direction: 'ASCENDING' }],
      ...more,
    }),
  }
}

function micros({ seconds, nanos }: Message): bigint {
  return BigInt(seconds) * 1_000_000n + BigInt(nanos / 1_000)
}

function commits(scene: (database?: string) => Scene): void {
  describe('a commit', () => {
    it('creates only what does not exist', async () => {
      const s = scene()
      await s.commit(s.set('a', { n: whole(1) }, { exists: false }))
      const again = s.commit(s.set('a', { n: whole(2) }, { exists: false }))
      await expect(again).rejects.toMatchObject({ code: code.ALREADY_EXISTS })
      expect((await s.get('a')).fields.n.integerValue).toBe('1')
    })

    it('updates and deletes what exists, if that is asked for', async () => {
      const s = scene()
      for (const write of [s.set('a', {}, { exists: true }), s.remove('a', { exists: true })]) {
        await expect(s.commit(write)).rejects.toMatchObject({ code: code.NOT_FOUND })
      }
      await s.commit(s.set('a', {}))
      await s.commit(s.set('a', { n: whole(2) }, { exists: true }))
      await s.commit(s.remove('a', { exists: true }))
      expect(await s.get('a')).toBeUndefined()
    })

    it('goes by update time, if that is asked for', async () => {
      const s = scene()
      const first = (await s.commit(s.set('a', { n: whole(1) }))).writeResults[0].updateTime
      const second = (await s.commit(s.set('a', { n: whole(2) }, { updateTime: first }))).writeResults[0]
        .updateTime
      for (const write of [
        s.set('a', { n: whole(3) }, { updateTime: first }),
        s.remove('a', { updateTime: first }),
      ]) {
        await expect(s.commit(write)).rejects.toMatchObject({ code: code.FAILED_PRECONDITION })
      }
      expect((await s.get('a')).fields.n.integerValue).toBe('2')
      await s.commit(s.remove('a', { updateTime: second }))
      const gone = s.commit(s.set('a', {}, { updateTime: second }))
      await expect(gone).rejects.toMatchObject({
        code: expect.toSatisfy((n) => n === code.NOT_FOUND || n === code.FAILED_PRECONDITION),
      })
    })

    it('applies all of its writes or none, in order', async () => {
      const s = scene()
      await s.commit(s.set('there', { n: whole(1) }))
      const failing = s.commit(s.set('new', {}), s.remove('there'), s.set('x', {}, { exists: true }))
      await expect(failing).rejects.toMatchObject({ code: code.NOT_FOUND })
      expect([await s.get('new'), (await s.get('there')).fields.n.integerValue]).toEqual([undefined, '1'])
      await s.commit(s.remove('there'), s.set('there', { n: whole(2) }, { exists: false }))
      expect((await s.get('there')).fields.n.integerValue).toBe('2')
    })

    it('gives a later update time with each change, and none without a change', async () => {
      const s = scene()
      const times: bigint[] = []
      for (let i = 0; i < 20; i++) {
        const { writeResults, commitTime } = await s.commit(s.set('a', { n: whole(i) }))
        times.push(micros(writeResults[0].updateTime))
        expect(micros(commitTime)).toBeGreaterThanOrEqual(times.at(-1)!)
        if (i % 5 === 0) await s.commit(s.remove('a'))
      }
      expect(times).toEqual([...new Set(times)].sort((a, b) => (a < b ? -1 : 1)))
      const { updateTime } = await s.get('a')
      const same = await s.commit(s.set('a', { n: whole(19) }))
      expect(same.writeResults[0].updateTime).toEqual(updateTime)
      expect((await s.get('a')).updateTime).toEqual(updateTime)
    })

    it('is seen by every read that starts after its answer, in its own database only', async () => {
      const [s, other] = [scene(), scene('another-one')]
      const { commitTime } = await s.commit(s.set('a', entry('q', 1)))
      const [answer] = await s.client.batchGetDocuments({ database: s.database, documents: [s.name('a')] })
      expect(answer.found.updateTime).toEqual(commitTime)
      expect(micros(answer.readTime)).toBeGreaterThanOrEqual(micros(commitTime))
      const same = s.name('a').replace(s.database, other.database)
      const [elsewhere] = await s.client.batchGetDocuments({ database: other.database, documents: [same] })
      expect(elsewhere.missing).toBe(same)
    })

    it('refuses ids that are reserved', async () => {
      const s = scene()
      await expect(s.commit(s.set('__x__', {}))).rejects.toMatchObject({ code: code.INVALID_ARGUMENT })
    })

    it('keeps times to the microsecond', async () => {
      const s = scene()
      await s.commit(s.set('a', { at: { timestampValue: { seconds: '1700000000', nanos: 123_456_789 } } }))
      expect((await s.get('a')).fields.at.timestampValue).toMatchObject({ nanos: 123_456_000 })
    })
  })
}

function transactions(scene: () => Scene): void {
  describe('a transaction', () => {
    const read = async (s: Scene, id: string): Promise<{ transaction: Buffer; found: Message }> => {
      const answers = await s.client.batchGetDocuments({
        database: s.database,
        documents: [s.name(id)],
        newTransaction: { readWrite: {} },
      })
      const transaction = answers.find((answer) => answer.transaction.length > 0)?.transaction
      return { transaction, found: answers.find(({ found }) => found)?.found }
    }
    /** Runs until it is not aborted. */
    const run = async (s: Scene, id: string, next: (found: Message) => Message[]): Promise<void> => {
      for (;;) {
        try {
          const { transaction, found } = await read(s, id)
          await s.client.commit({ database: s.database, transaction, writes: next(found) })
          return
        } catch (error) {
          if ((error as { code: number }).code !== code.ABORTED) throw error
        }
      }
    }

    it('loses no increment to another', async () => {
      const s = scene()
      await s.commit(s.set('n', { n: whole(0) }))
      const increment = (): Promise<void> =>
        run(s, 'n', (found) => [s.set('n', { n: whole(Number(found.fields.n.integerValue) + 1) })])
      await Promise.all(Array.from({ length: 8 }, increment))
      expect((await s.get('n')).fields.n.integerValue).toBe('8')
    })

    it('loses no plain write that came between its read and its commit', async () => {
      const s = scene()
      await s.commit(s.set('n', { n: whole(1) }))
      const { transaction, found } = await read(s, 'n')
      // Firestore may make this one wait for the transaction.
      const between = s.commit(s.set('n', { n: whole(100) }))
      await Promise.race([between, new Promise((resolve) => setTimeout(resolve, 300))])
      const writes = [s.set('n', { n: whole(Number(found.fields.n.integerValue) + 1) })]
      const committed = await s.client
        .commit({ database: s.database, transaction, writes })
        .catch((error: Message) => error)
      await between
      // Either it came first and was overwritten, or it was refused.
      if (committed instanceof Error) expect(committed).toMatchObject({ code: code.ABORTED })
      expect((await s.get('n')).fields.n.integerValue).toBe('100')
    })

    it('that found a document missing does not commit beside its creation', async () => {
      const s = scene()
      const winners: number[] = []
      const create = (i: number): Promise<void> =>
        run(s, 'a', (found) => {
          if (found !== undefined) return []
          winners[0] = i
          return [s.set('a', { by: whole(i) }), s.set(`by ${i}`, {})]
        })
      await Promise.all(Array.from({ length: 5 }, (_, i) => create(i)))
      const there = await Promise.all(Array.from({ length: 5 }, (_, i) => s.get(`by ${i}`)))
      expect(there.filter((document) => document !== undefined)).toHaveLength(1)
    })

    it('applies nothing when a precondition fails, nor after a rollback', async () => {
      const s = scene()
      const { client, database } = s
      const failing = await read(s, 'a')
      const writes = [s.set('a', {}), s.set('b', {}, { exists: true })]
      await expect(
        client.commit({ database, transaction: failing.transaction, writes }),
      ).rejects.toMatchObject({ code: code.NOT_FOUND })
      const { transaction } = await read(s, 'a')
      await client.rollback({ database, transaction })
      const late = client.commit({ database, transaction, writes: [s.set('a', {})] })
      await expect(late).rejects.toMatchObject({
        code: expect.toSatisfy((n) => n === code.INVALID_ARGUMENT || n === code.ABORTED),
      })
      expect(await s.get('a')).toBeUndefined()
    })
  })
}

function queries(scene: () => Scene): void {
  describe('a query', () => {
    const fill = async (s: Scene): Promise<void> => {
      const numbers = [5, 1, 3, 2, 4]
      await s.commit(
        ...numbers.map((n) => s.set(`q-${n}`, entry('q', n))),
        s.set('r-1', entry('r', 1)),
        s.set('text', { queueName: text('q'), entryTimestamp: text('3') }),
        s.set('half', { queueName: text('q'), entryTimestamp: { doubleValue: 2.5 } }),
        s.set('without', { queueName: text('q') }),
      )
    }
    const run = async (s: Scene, more: Message = {}): Promise<string[]> => {
      const answers = await s.client.runQuery({ parent: s.parent, structuredQuery: s.query('q', more) })
      return answers.flatMap(({ document }) => (document ? [document.name.split('/').at(-1)] : []))
    }

    it('filters by value and type, and orders', async () => {
      const s = scene()
      await fill(s)
      expect(await run(s)).toEqual(['q-1', 'q-2', 'half', 'q-3', 'q-4', 'q-5'])
      const orderBy = [{ field: { fieldPath: 'entryTimestamp' }, direction: 'DESCENDING' }]
      expect(await run(s, { orderBy })).toEqual(['q-5', 'q-4', 'q-3', 'half', 'q-2', 'q-1'])
      expect(await run(s, { limit: { value: 2 } })).toEqual(['q-1', 'q-2'])
      expect(await run(s, { startAt: { values: [whole(2)], before: false }, limit: { value: 2 } })).toEqual([
        'half',
        'q-3',
      ])
    })

    it('gives names alone, if that is asked for', async () => {
      const s = scene()
      await fill(s)
      const select = { fields: [{ fieldPath: '__name__' }] }
      const [answer] = await s.client.runQuery({
        parent: s.parent,
        structuredQuery: s.query('q', { select, limit: { value: 1 } }),
      })
      expect([answer.document.name, answer.document.fields]).toEqual([s.name('q-1'), {}])
    })

    it('tells its time, also when nothing is found, and can be repeated as of then', async () => {
      const s = scene()
      await fill(s)
      const query = (more: Message = {}): Promise<Message[]> =>
        s.client.runQuery({ parent: s.parent, structuredQuery: s.query('q'), ...more })
      const { readTime } = (await query())[0]
      await s.commit(s.remove('q-1'), s.set('q-9', entry('q', 9)))
      const then = (await query({ readTime })).flatMap(({ document }) => document ?? [])
      expect([then.length, then[0].name]).toEqual([6, s.name('q-1')])
      const nothing = await s.client.runQuery({ parent: s.parent, structuredQuery: s.query('nobody') })
      expect(nothing).toMatchObject([{ document: null, readTime: { seconds: expect.any(String) } }])
    })
  })
}

function listening(scene: () => Scene): void {
  describe('a listener', () => {
    /** A stream, and a way to read on until something shows. */
    const listen = (s: Scene) => {
      const stream = s.client.listen()
      const seen: Message[] = []
      let wake = (): void => undefined
      stream.on('data', (message) => {
        seen.push(message)
        wake()
      })
      stream.on('error', () => undefined)
      const until = async (wanted: (message: Message) => boolean): Promise<Message[]> => {
        for (let i = 0; ; i++) {
          while (i >= seen.length) await new Promise<void>((resolve) => (wake = resolve))
          if (wanted(seen[i])) return seen.splice(0, i + 1)
        }
      }
      return {
        until,
        add: (target: Message) => stream.write({ database: s.database, addTarget: target }),
        remove: (id: number) => stream.write({ database: s.database, removeTarget: id }),
        end: () => stream.cancel(),
      }
    }
    const ofQuery = (s: Scene, targetId: number, more: Message = {}): Message => ({
      targetId,
      query: { parent: s.parent, structuredQuery: s.query('q') },
      ...more,
    })
    const isCurrent =
      (id: number) =>
      ({ targetChange }: Message): boolean =>
        targetChange?.targetChangeType === 'CURRENT' && targetChange.targetIds.includes(id)
    const tells =
      (name: string) =>
      ({ documentChange, documentDelete, documentRemove }: Message): boolean =>
        [documentChange?.document.name, documentDelete?.document, documentRemove?.document].includes(name)

    it('of a query is told what there is, and then each change', async () => {
      const s = scene()
      await s.commit(s.set('q-1', entry('q', 1)), s.set('r-1', entry('r', 1)))
      const listener = listen(s)
      listener.add(ofQuery(s, 1))
      const first = await listener.until(isCurrent(1))
      expect(first.filter(tells(s.name('q-1')))).toHaveLength(1)
      expect(first.filter(tells(s.name('r-1')))).toHaveLength(0)

      await s.commit(s.set('r-2', entry('r', 2)), s.set('q-2', entry('q', 2)))
      const put = await listener.until(tells(s.name('q-2')))
      expect(put.at(-1).documentChange.targetIds).toContain(1)
      expect(put.some(tells(s.name('r-2')))).toBe(false)
      await s.commit(s.set('q-2', { ...entry('q', 2), more: whole(1) }))
      await listener.until(tells(s.name('q-2')))
      await s.commit(s.remove('q-2'))
      await listener.until(tells(s.name('q-2')))
      await s.commit(s.set('q-1', entry('elsewhere', 1)))
      await listener.until(tells(s.name('q-1')))
      listener.end()
    })

    it('of documents is told of them alone, there or not', async () => {
      const s = scene()
      await s.commit(s.set('a', { n: whole(1) }))
      const listener = listen(s)
      listener.add({ targetId: 7, documents: { documents: [s.name('a')] } })
      listener.add({ targetId: 8, documents: { documents: [s.name('b')] } })
      const seen = [...(await listener.until(isCurrent(7))), ...(await listener.until(isCurrent(8)))]
      expect(seen.some(tells(s.name('a')))).toBe(true)
      await s.commit(s.set('c', {}), s.set('b', {}))
      expect((await listener.until(tells(s.name('b')))).at(-1).documentChange.targetIds).toContain(8)
      await s.commit(s.remove('a'))
      const deleted = await listener.until(tells(s.name('a')))
      expect(deleted.some(tells(s.name('c')))).toBe(false)
      listener.end()
    })

    it('carries several targets, and hears no more of one that is removed', async () => {
      const s = scene()
      const listener = listen(s)
      listener.add(ofQuery(s, 1))
      listener.add({ targetId: 2, documents: { documents: [s.name('x')] } })
      await listener.until(isCurrent(2))
      listener.remove(1)
      await listener.until(({ targetChange }) => targetChange?.targetChangeType === 'REMOVE')
      await s.commit(s.set('q-1', entry('q', 1)), s.set('x', {}))
      const seen = await listener.until(tells(s.name('x')))
      expect(seen.some(tells(s.name('q-1')))).toBe(false)
      listener.end()
    })

    it('goes on from where another ended', async () => {
      const s = scene()
      await s.commit(s.set('q-1', entry('q', 1)), s.set('q-2', entry('q', 2)))
      const before = listen(s)
      before.add(ofQuery(s, 1))
      await before.until(isCurrent(1))
      const hasToken = ({ targetChange }: Message): boolean => targetChange?.resumeToken?.length > 0
      await s.commit(s.set('q-3', entry('q', 3)))
      await before.until(tells(s.name('q-3')))
      const { resumeToken } = (await before.until(hasToken)).at(-1).targetChange
      before.end()
      await s.commit(s.set('q-4', entry('q', 4)))
      const after = listen(s)
      after.add(ofQuery(s, 1, { resumeToken }))
      const seen = await after.until(isCurrent(1))
      expect(seen.some(tells(s.name('q-4')))).toBe(true)
      after.end()
    })
  })
}
