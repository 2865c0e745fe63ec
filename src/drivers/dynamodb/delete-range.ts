/**
 * Retention: finds the keys of a range a page at a time and deletes their items one by one, several at once. A delete
 * without condition costs half of one in a transaction, conflicts with nothing and may be repeated.
 */
import type { Range } from '../../ports/store.ts'
import type { TableClient } from './client.ts'
import type { Item, QueryRange, TableKeys } from './table.ts'

const AT_ONCE = 16

/** @param assertOpen throws once the store closes. */
export async function deleteItems(
  client: TableClient,
  keys: TableKeys,
  range: Range,
  query: QueryRange,
  signal: AbortSignal | undefined,
  assertOpen: () => void,
): Promise<void> {
  let start: Item | undefined
  do {
    const { Items = [], LastEvaluatedKey } = await client.query(
      { ...withKeysOnly(query, keys), ExclusiveStartKey: start },
      signal,
    )
    const doomed = Items.filter((item) => range.to === undefined || item[keys.sort]?.S !== range.to)
    for (let i = 0; i < doomed.length; i += AT_ONCE) {
      assertOpen()
      await Promise.all(doomed.slice(i, i + AT_ONCE).map((key) => client.removeItem(key, signal)))
    }
    start = LastEvaluatedKey
  } while (start !== undefined)
}

function withKeysOnly(query: QueryRange, { sort }: TableKeys): QueryRange & { ProjectionExpression: string } {
  const names = { ...query.ExpressionAttributeNames, '#s': sort }
  return { ...query, ExpressionAttributeNames: names, ProjectionExpression: '#p, #s' }
}
