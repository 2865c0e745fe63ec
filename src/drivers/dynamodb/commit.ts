/**
 * A commit as conditional writes, and a refusal of the engine as a commit's result.
 */
import type { TransactWriteItem } from '@aws-sdk/client-dynamodb'
import type { Random } from '../../kernel/id.ts'
import type { Change, CommitResult, Version } from '../../ports/store.ts'
import type { TableClient } from './client.ts'
import { conditionOf, foreignCondition, type Condition } from './conditions.ts'
import type { Failure } from './failure.ts'
import { isForeign, toItem } from './item.ts'
import { keyItem, type TableKeys } from './table.ts'

/** What all commits of a store share. */
export interface CommitContext {
  readonly client: TableClient
  readonly table: string
  readonly keys: TableKeys
  readonly random: Random
  /** A time that has surely passed on the engine. */
  readonly sureMs: () => number
}

/**
 * Applies all changes or none.
 * @param encoded the values as JSON text, by index (from `checkCommit`).
 * @throws SignalboxError as `Store.commit`
 */
export async function applyChanges(
  context: CommitContext,
  changes: readonly Change[],
  encoded: readonly (string | undefined)[],
): Promise<CommitResult> {
  const { client, random } = context
  const versions = changes.map((change): Version | undefined =>
    change.op === 'put' ? random.id() : undefined,
  )
  const conditions = await Promise.all(changes.map((change) => condition(context, change)))
  const writes = changes.map((change, i) =>
    toWrite(context, change, conditions[i] as Condition, versions[i] ?? '', encoded[i] ?? ''),
  )
  const failure = await client.write(writes)
  if (failure === undefined) return { ok: true, versions }
  const result = refusal(failure, changes)
  if (result !== undefined) return result
  throw await client.error(
    failure,
    writes.length === 1 ? singleOperation(changes) : 'TransactWriteItems',
    true,
  )
}

/** Deciding about an item that is not ours takes its attributes, so it is read first. */
async function condition(
  { client, keys, sureMs }: CommitContext,
  { key, expect }: Change,
): Promise<Condition> {
  if (typeof expect === 'string' || !isForeign(expect.version)) return conditionOf(keys, expect, sureMs())
  return foreignCondition(keys, await client.getItem(keyItem(keys, key)), expect.version)
}

function toWrite(
  { table, keys }: CommitContext,
  change: Change,
  condition: Condition,
  version: Version,
  json: string,
): TransactWriteItem {
  const target = { TableName: table, ...condition }
  if (change.op === 'put') {
    return { Put: { ...target, Item: toItem(keys, change.key, version, json, change.expiresAt) } }
  }
  const Key = keyItem(keys, change.key)
  return change.op === 'delete' ? { Delete: { ...target, Key } } : { ConditionCheck: { ...target, Key } }
}

function singleOperation([change]: readonly Change[]): string {
  return change?.op === 'put' ? 'PutItem' : 'DeleteItem'
}

/** Undefined when the refusal has nothing to do with what was expected. */
function refusal({ name, reasons }: Failure, changes: readonly Change[]): CommitResult | undefined {
  switch (name) {
    case 'ConditionalCheckFailedException':
      return { ok: false, failed: changes.map(({ key }) => key) }
    case 'TransactionConflictException':
    case 'ReplicatedWriteConflictException':
      return { ok: false, failed: 'unknown' }
    case 'TransactionCanceledException':
      return cancellation(
        reasons.map(({ Code }) => Code ?? 'None'),
        changes,
      )
    default:
      return undefined
  }
}

/** One code per change: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html */
function cancellation(codes: readonly string[], changes: readonly Change[]): CommitResult | undefined {
  const failed = changes.filter((_, i) => codes[i] === 'ConditionalCheckFailed').map(({ key }) => key)
  const conflict = codes.includes('TransactionConflict')
  if (failed.length === 0 && !conflict) return undefined
  // Where something else went wrong too, the engine has not judged every change.
  const judged = codes.every((code) => code === 'None' || code === 'ConditionalCheckFailed')
  return { ok: false, failed: judged ? failed : 'unknown' }
}
