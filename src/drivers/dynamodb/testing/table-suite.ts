/**
 * What the driver promises of a table beyond the port's contract: it lives beside items that others wrote, and it pages
 * through more than the engine gives at once. Run on each engine.
 */
import {
  DeleteItemCommand,
  GetItemCommand,
  PutItemCommand,
  type AttributeValue,
  type DynamoDBClient,
} from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  decimalKey,
  type Change,
  type Expect,
  type Json,
  type Key,
  type Store,
} from '../../../ports/store.ts'
import {
  apply,
  check,
  expectFailed,
  fill,
  freshPartition,
  key,
  listAll,
  put,
  remove,
  valuesOf,
} from '../../conformance/context.ts'
import { foreignCondition } from '../conditions.ts'
import { keyItem, turnTableKeys, type Item } from '../table.ts'

/** A store on a turn table, and the SDK's client for the same table. */
export interface TableTarget {
  readonly store: Store
  readonly client: DynamoDBClient
  readonly table: string
  /** Requests of the store since asked last, by operation. */
  readonly operations: () => string[]
}

/** As the dynamo-q tool writes its entries: last seen long ago, by its own clock. */
const ENTRY: Item = { clientId: { S: 'repo-42' }, lastUpdated: { N: '1600000000' } }

export function tableSuite(open: () => Promise<TableTarget>): void {
  let target: TableTarget
  beforeAll(async () => {
    target = await open()
  })
  afterAll(async () => {
    await target.store.close()
    target.client.destroy()
  })

  const write = async (at: Key, attributes: Item): Promise<void> => {
    const Item = { ...keyItem(turnTableKeys, at), ...attributes }
    await target.client.send(new PutItemCommand({ TableName: target.table, Item }))
  }
  const read = async (at: Key): Promise<Item | undefined> => {
    const Key = keyItem(turnTableKeys, at)
    const { Item } = await target.client.send(
      new GetItemCommand({ TableName: target.table, Key, ConsistentRead: true }),
    )
    return Item
  }
  const versionOf = async (at: Key): Promise<string> => (await target.store.get(at))?.version ?? 'none'

  describe('an item that somebody else wrote', () => {
    it('reads as a record, its attributes as JSON, however old its lastUpdated', async () => {
      const at = key(freshPartition(), 1_700_000_000)
      await write(at, ENTRY)
      const record = {
        key: at,
        version: expect.any(String),
        value: { clientId: 'repo-42', lastUpdated: 1_600_000_000 },
      }
      expect(await target.store.get(at)).toEqual(record)
      expect(await listAll(target.store, { partition: at[0] })).toEqual([record])
    })

    it('reads whatever types its attributes have', async () => {
      const at = key(freshPartition(), 1)
      const attributes: Record<string, AttributeValue> = {
        s: { S: 'é' },
        n: { N: '-1.5' },
        b: { B: new Uint8Array([1, 2, 255]) },
        yes: { BOOL: true },
        none: { NULL: true },
        list: { L: [{ S: 'a' }, { N: '1' }, { M: { deep: { BOOL: false } } }] },
        map: { M: { __proto: { S: 'x' }, empty: { M: {} } } },
        strings: { SS: ['a', 'b'] },
        numbers: { NS: ['1', '2'] },
        bytes: { BS: [new Uint8Array([0])] },
      }
      await write(at, attributes)
      const value = (await target.store.get(at))?.value as Record<string, Json>
      expect({ ...value, numbers: (value['numbers'] as number[]).toSorted((a, b) => a - b) }).toEqual({
        s: 'é',
        n: -1.5,
        b: 'AQL/',
        yes: true,
        none: null,
        list: ['a', 1, { deep: false }],
        map: { __proto: 'x', empty: {} },
        strings: ['a', 'b'],
        numbers: [1, 2],
        bytes: ['AA=='],
      })
      await apply(target.store, remove(at, { version: await versionOf(at) }))
      expect(await target.store.get(at)).toBeUndefined()
    })

    it('has one version as long as it stays the same, and another when any attribute changes', async () => {
      const at = key(freshPartition(), 1)
      const states: Item[] = [
        ENTRY,
        { ...ENTRY, lastUpdated: { N: '1600000001' } },
        { ...ENTRY, clientId: { S: 'repo-43' } },
        { ...ENTRY, clientId: { N: '42' } },
        { ...ENTRY, more: { L: [{ M: { a: { S: '' } } }] } },
        { ...ENTRY, more: { L: [{ M: { a: { S: ' ' } } }] } },
        { clientId: { S: 'repo-42' } },
        {},
      ]
      const versions = new Set<string>()
      for (const state of states) {
        await write(at, state)
        const version = await versionOf(at)
        versions.add(version)
        await write(at, state)
        expect(await versionOf(at)).toBe(version)
      }
      expect(versions.size).toBe(states.length)
    })

    const CASES: readonly (readonly [string, Expect | 'its version' | 'its former version', boolean])[] = [
      ['absent', 'absent', false],
      ['present', 'present', true],
      ['its version', 'its version', true],
      ['its former version', 'its former version', false],
      ['a version of ours', { version: '0123456789abcdefghjk' }, false],
    ]

    it.each(CASES)('stands for expectations as a record does: %s', async (_, wanted, holds) => {
      const { store } = target
      for (const alone of [true, false]) {
        for (const op of ['put', 'delete', 'check'] as const) {
          const at = key(freshPartition(), 1)
          await write(at, { ...ENTRY, clientId: { S: 'former' } })
          const former = await versionOf(at)
          await write(at, ENTRY)
          const versions = { 'its version': await versionOf(at), 'its former version': former }
          const wantedExpect: Expect =
            wanted === 'its version' || wanted === 'its former version'
              ? { version: versions[wanted] }
              : wanted
          const change: Change =
            op === 'put' ? put(at, 'ours', wantedExpect) : { key: at, expect: wantedExpect, op }
          const result = await store.commit(alone ? [change] : [change, put(key(at[0], 2), 'more')])
          if (!holds) expectFailed(result, at)
          else expect(result.ok).toBe(true)
          const left = {
            put: 'ours',
            delete: undefined,
            check: { clientId: 'repo-42', lastUpdated: 1_600_000_000 },
          }
          expect((await store.get(at))?.value).toEqual(left[holds ? op : 'check'])
        }
      }
    })

    it('is not touched when it changes between the look at it and the write', async () => {
      const at = key(freshPartition(), 1)
      const changes: Item[] = [
        { ...ENTRY, lastUpdated: { N: '1600000001' } },
        { clientId: { S: 'repo-42' } },
        { clientId: { S: 'repo-42' }, lastUpdated: { S: '1600000000' } },
        { ...ENTRY, sbVersion: { S: 'ours by now' } },
      ]
      const removal = async (): Promise<void> => {
        const condition = foreignCondition(turnTableKeys, await read(at), await versionOf(at))
        const Key = keyItem(turnTableKeys, at)
        for (const change of changes) {
          await write(at, change)
          const deleted = target.client.send(
            new DeleteItemCommand({ TableName: target.table, Key, ...condition }),
          )
          await expect(deleted).rejects.toMatchObject({ name: 'ConditionalCheckFailedException' })
        }
      }
      await write(at, ENTRY)
      await removal()
      // Without a TTL attribute at first, it may not have got one since.
      await write(at, { clientId: { S: 'repo-42' } })
      changes.splice(0, changes.length, ENTRY)
      await removal()
    })

    it('goes with its range, and at a place that is no key of ours is passed over', async () => {
      const partition = freshPartition()
      await fill(target.store, partition, ['ours'])
      for (const N of ['1.5', '-3', '1700000000000000000', '7']) {
        const Item = { queueName: { S: partition }, entryTimestamp: { N }, ...ENTRY }
        await target.client.send(new PutItemCommand({ TableName: target.table, Item }))
      }
      const keys = async () => (await listAll(target.store, { partition })).map((record) => record.key[1])
      expect(await keys()).toEqual([decimalKey(0), decimalKey(7)])
      for (const limit of [1, 2]) {
        expect(await listAll(target.store, { partition }, { limit, reverse: true })).toHaveLength(2)
      }
      await target.store.deleteRange({ partition })
      expect(await keys()).toEqual([])
    })
  })

  describe('a page', () => {
    const large = 'x'.repeat(250_000)

    it('is put together from several queries, since the engine gives a megabyte at once', async () => {
      const partition = freshPartition()
      for (let i = 0; i < 10; i++) await apply(target.store, put(key(partition, i), `${i}${large}`))
      target.operations()
      const page = await target.store.list({ partition }, { limit: 9 })
      expect(page.records.map((record) => (record.value as string)[0]).join('')).toBe('012345678')
      expect(page.next).toBe(decimalKey(8))
      expect(target.operations().length).toBeGreaterThanOrEqual(2)
      const rest = await target.store.list({ partition }, { limit: 9, after: decimalKey(8) })
      expect(rest.records).toHaveLength(1)
      expect(rest.next).toBeUndefined()
    })

    it('passes over megabytes of expired records', async () => {
      const { store } = target
      const partition = freshPartition()
      const past = store.now().ms - 600_000
      await apply(store, put(key(partition, 0), 'first'), put(key(partition, 99), 'last'))
      for (let i = 1; i <= 10; i++) await apply(store, put(key(partition, i), large, 'absent', past))
      for (const reverse of [false, true]) {
        const [one, other] = reverse ? ['last', 'first'] : ['first', 'last']
        expect(await valuesOf(store, { partition }, { limit: 1, reverse })).toEqual([one, other])
        const page = await store.list({ partition }, { limit: 2, reverse })
        expect(page.records.map(({ value }) => value)).toEqual([one, other])
        expect(page.next).toBeUndefined()
      }
      await store.deleteRange({ partition })
      expect(await read(key(partition, 5))).toBeUndefined()
    })

    it('has a next only when more is there', async () => {
      const { store } = target
      const partition = freshPartition()
      await fill(store, partition, [0, 1, 2])
      expect((await store.list({ partition }, { limit: 3 })).next).toBeUndefined()
      expect((await store.list({ partition }, { limit: 2 })).next).toBe(decimalKey(1))
      expect((await store.list({ partition, to: decimalKey(2) }, { limit: 2 })).next).toBeUndefined()
    })
  })

  describe('expiry', () => {
    it('ends with a put that states none: the TTL attribute goes too', async () => {
      const { store } = target
      const at = key(freshPartition(), 1)
      await apply(store, put(at, 'brief', 'absent', store.now().ms + 600_000))
      expect(await read(at)).toHaveProperty('lastUpdated')
      await apply(store, put(at, 'lasting', 'present'))
      expect(await read(at)).not.toHaveProperty('lastUpdated')
      expect(await read(at)).not.toHaveProperty('sbExpiresAt')
    })

    it('of an unswept record lets it be checked, taken over and removed as absent in one commit', async () => {
      const { store } = target
      const partition = freshPartition()
      const past = store.now().ms - 60_000
      await apply(store, ...[1, 2, 3].map((n) => put(key(partition, n), 'old', 'absent', past)))
      await apply(
        store,
        check(key(partition, 1), 'absent'),
        put(key(partition, 2), 'new', 'absent'),
        remove(key(partition, 3), 'absent'),
      )
      expect(await valuesOf(store, { partition })).toEqual(['new'])
      expectFailed(
        await store.commit([check(key(partition, 1), 'present'), check(key(partition, 2), 'present')]),
        key(partition, 1),
      )
    })
  })
}
