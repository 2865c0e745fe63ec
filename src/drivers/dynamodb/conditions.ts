/**
 * What a change expects, in the engine's language: what `shared/expect.ts` says, decided by the engine at the moment
 * of the write.
 *
 * Invariant: a record counts as expired only when its time has surely passed on the engine, so no doubt about the time
 * ever takes a live record for an absent one.
 */
import type { Expect, Version } from '../../ports/store.ts'
import { foreignAttributes, fromItem } from './item.ts'
import { OWN, type Item, type TableKeys } from './table.ts'

export interface Condition {
  readonly ConditionExpression: string
  readonly ExpressionAttributeNames: Record<string, string>
  readonly ExpressionAttributeValues?: Item
}

/** @param sureMs a time that has surely passed on the engine. */
export function conditionOf(keys: TableKeys, expect: Expect, sureMs: number): Condition {
  const now: Item = { ':now': { N: String(sureMs) } }
  const names = { '#p': keys.partition, '#e': OWN.expiresAt }
  if (expect === 'absent') {
    return {
      ConditionExpression: 'attribute_not_exists(#p) OR #e <= :now',
      ExpressionAttributeNames: names,
      ExpressionAttributeValues: now,
    }
  }
  const alive = '(attribute_not_exists(#e) OR #e > :now)'
  if (expect === 'present') {
    return {
      ConditionExpression: `attribute_exists(#p) AND ${alive}`,
      ExpressionAttributeNames: names,
      ExpressionAttributeValues: now,
    }
  }
  return {
    ConditionExpression: `#v = :v AND ${alive}`,
    ExpressionAttributeNames: { '#v': OWN.version, '#e': OWN.expiresAt },
    ExpressionAttributeValues: { ...now, ':v': { S: expect.version } },
  }
}

/**
 * Expects an item that is not ours to be exactly as it was read: every attribute equal, still not ours. What the engine
 * cannot say is that no further attribute came along; of the TTL attribute it can.
 * @param item as read just now. @param version what the caller saw.
 */
export function foreignCondition(keys: TableKeys, item: Item | undefined, version: Version): Condition {
  const names: Record<string, string> = { '#p': keys.partition }
  const seen = item && fromItem(keys, item, 0)?.record.version
  if (item === undefined || seen !== version) {
    // Changed since: still put to the engine, which then names all the keys that failed.
    return {
      ConditionExpression: 'attribute_exists(#p) AND attribute_not_exists(#p)',
      ExpressionAttributeNames: names,
    }
  }
  const terms = ['attribute_exists(#p)', 'attribute_not_exists(#v)']
  names['#v'] = OWN.version
  if (item[keys.ttl] === undefined) {
    terms.push('attribute_not_exists(#t)')
    names['#t'] = keys.ttl
  }
  const values: Item = {}
  for (const [i, [name, value]] of foreignAttributes(keys, item).entries()) {
    terms.push(`#${i} = :${i}`)
    names[`#${i}`] = name
    values[`:${i}`] = value
  }
  return {
    ConditionExpression: terms.join(' AND '),
    ExpressionAttributeNames: names,
    ...(Object.keys(values).length === 0 ? {} : { ExpressionAttributeValues: values }),
  }
}
