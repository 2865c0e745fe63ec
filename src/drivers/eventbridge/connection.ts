/**
 * The connection: the header and the key with which AWS calls us.
 *
 * States: CREATING, UPDATING, AUTHORIZING → AUTHORIZED; DEAUTHORIZED has lost its key and gets it again by an update.
 * https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_DescribeConnection.html
 */
import type * as Sdk from '@aws-sdk/client-eventbridge'
import { createHmac } from 'node:crypto'
import { sleep } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import type { ReconcileOptions, TriggerDrift } from '../../ports/trigger.ts'
import type { EventBridge } from './client.ts'
import { foreign, repaired } from './drift.ts'
import { isExisting, unlessAbsent } from './errors.ts'
import { described, isMarked } from './marks.ts'
import type { KeyNote, SharedSettings } from './shared-objects.ts'

type Connection = Sdk.DescribeConnectionCommandOutput

const READY = new Set<string | undefined>(['AUTHORIZED', 'ACTIVE'])
const ON_ITS_WAY = new Set<string | undefined>(['CREATING', 'UPDATING', 'AUTHORIZING'])
const LOOK_EVERY_MS = 1_000
const READY_WITHIN_MS = 60_000
/** A change that AWS dates this shortly after the one we noted is its own end of ours. */
const AFTERMATH_MS = 120_000

interface Outcome {
  readonly arn?: string
  readonly drift: readonly TriggerDrift[]
}

export async function reconcileConnection(
  client: EventBridge,
  settings: SharedSettings,
  options: ReconcileOptions,
): Promise<Outcome> {
  const { connectionName: name, namespace } = settings
  const { adopt = false, repair } = options
  const there = await describe(client, name, options.signal)
  const found = { object: 'connection', name } as const
  if (there === undefined) {
    const missing = { ...found, problem: 'missing', detail: 'there is no such connection' } as const
    const drift = await repaired(missing, options, () => create(client, settings, options))
    const made = repair ? await describe(client, name, options.signal) : undefined
    return { ...arnOf(drift.repaired ? made : undefined), drift: [drift] }
  }
  if (!isMarked(there.Description, namespace) && !(adopt && repair)) {
    const choose = 'choose another schedules.eventBridge.apiConnectionName'
    return { drift: [foreign('connection', name, choose)] }
  }
  const note = await settings.keyNotes.get()
  const different = differences(there, settings, note)
  if (different !== undefined) {
    const update = (): Promise<void> => put(client, settings, options)
    const drift = await repaired({ ...found, ...different }, options, update)
    // Rules may be looked at, and mended, though the key could not be written.
    return { ...arnOf(there), drift: [drift] }
  }
  if (!READY.has(there.ConnectionState)) {
    const detail = stateOf(there)
    const wait = (): Promise<unknown> => ready(client, settings, options)
    return {
      ...arnOf(there),
      drift: [await repaired({ ...found, problem: 'not_ready', detail }, options, wait)],
    }
  }
  if (repair) await noteAftermath(settings, note, there)
  return { ...arnOf(there), drift: [] }
}

/** Deletes it if it is ours. @returns what it removed */
export async function removeConnection(client: EventBridge, settings: SharedSettings): Promise<string[]> {
  const { connectionName: Name, namespace } = settings
  const there = await describe(client, Name)
  if (there === undefined || !isMarked(there.Description, namespace)) return []
  const facts = { operation: 'DeleteConnection', what: `connection '${Name}'`, effect: true }
  await client.call(facts, () => new client.sdk.DeleteConnectionCommand({ Name })).catch(unlessAbsent)
  return [`connection ${Name}`]
}

/** What is wrong with it; undefined when nothing is, but maybe its state. */
function differences(
  there: Connection,
  settings: SharedSettings,
  note: KeyNote | undefined,
): Pick<TriggerDrift, 'problem' | 'detail'> | undefined {
  const changed = (detail: string) => ({ problem: 'changed', detail }) as const
  const { authHeader, namespace } = settings
  const header = there.AuthParameters?.ApiKeyAuthParameters?.ApiKeyName
  if (there.ConnectionState === 'DEAUTHORIZED' || there.ConnectionState === 'DEAUTHORIZING')
    return { problem: 'not_ready', detail: stateOf(there) }
  if (!isMarked(there.Description, namespace)) return changed('it does not carry our mark')
  if (there.AuthorizationType !== 'API_KEY')
    return changed(`it authorises by ${there.AuthorizationType ?? 'nothing'}, not by API_KEY`)
  if (header?.toLowerCase() !== authHeader.toLowerCase())
    return changed(`its header is '${header ?? ''}', not '${authHeader}'`)
  if (note === undefined) return changed('nothing is noted here about its key')
  if (note.mac !== macOf(note.salt, settings)) return changed('it has another key')
  const changedAt = there.LastModifiedTime?.getTime()
  if (changedAt !== undefined && note.changedAt !== undefined && changedAt > note.changedAt + AFTERMATH_MS)
    return changed(`somebody changed it at ${new Date(changedAt).toISOString()}, maybe its key`)
  return undefined
}

async function create(
  client: EventBridge,
  settings: SharedSettings,
  options: ReconcileOptions,
): Promise<void> {
  const { connectionName: Name } = settings
  const facts = { operation: 'CreateConnection', what: `connection '${Name}'`, effect: true, ...options }
  const input = { Name, ...contents(settings) }
  try {
    await client.call(facts, () => new client.sdk.CreateConnectionCommand(input))
  } catch (error) {
    // Another replica's, or our own of which the answer was lost: it is looked at again, with its mark, and its key written.
    if (!isExisting(error)) throw error
    const there = await describe(client, Name, options.signal)
    if (!isMarked(there?.Description, settings.namespace)) throw error
    return put(client, settings, options)
  }
  await ready(client, settings, options)
}

async function put(client: EventBridge, settings: SharedSettings, options: ReconcileOptions): Promise<void> {
  const { connectionName: Name } = settings
  const facts = { operation: 'UpdateConnection', what: `connection '${Name}'`, effect: true, ...options }
  const input = { Name, ...contents(settings) }
  await client.call(facts, () => new client.sdk.UpdateConnectionCommand(input))
  await ready(client, settings, options)
}

function contents({ namespace, authHeader, apiKey }: SharedSettings) {
  return {
    Description: described('Key with which EventBridge calls Signalbox', namespace),
    AuthorizationType: 'API_KEY' as const,
    AuthParameters: { ApiKeyAuthParameters: { ApiKeyName: authHeader, ApiKeyValue: apiKey } },
  }
}

/** Waits until it is authorised, and notes the key that it has then. */
async function ready(
  client: EventBridge,
  settings: SharedSettings,
  { signal }: ReconcileOptions,
): Promise<void> {
  const { clock } = client.calls
  const { connectionName: name, keyNotes, random } = settings
  const until = clock.monotonic() + READY_WITHIN_MS
  for (;;) {
    const there = await describe(client, name, signal)
    if (READY.has(there?.ConnectionState)) {
      const salt = random.id()
      return keyNotes.put({ salt, mac: macOf(salt, settings), ...changeOf(there) })
    }
    if (!ON_ITS_WAY.has(there?.ConnectionState) || clock.monotonic() >= until) {
      const why = there === undefined ? 'it is gone' : stateOf(there)
      throw new SignalboxError('unavailable', `connection '${name}' was not authorised: ${why}`)
    }
    await sleep(clock, LOOK_EVERY_MS, signal)
  }
}

/** AWS may date a change when it has authorised it: that is no other's change. */
async function noteAftermath(
  { keyNotes }: SharedSettings,
  note: KeyNote | undefined,
  there: Connection,
): Promise<void> {
  const { changedAt } = changeOf(there)
  if (note !== undefined && changedAt !== undefined && changedAt !== note.changedAt)
    await keyNotes.put({ ...note, changedAt })
}

async function describe(
  client: EventBridge,
  Name: string,
  signal?: AbortSignal,
): Promise<Connection | undefined> {
  const facts = { operation: 'DescribeConnection', what: `connection '${Name}'`, effect: false, signal }
  return client.call(facts, () => new client.sdk.DescribeConnectionCommand({ Name })).catch(unlessAbsent)
}

function macOf(salt: string, { authHeader, apiKey }: SharedSettings): string {
  return createHmac('sha256', salt).update(`${authHeader.toLowerCase()}\0${apiKey}`).digest('base64url')
}

function changeOf(there: Connection | undefined): { readonly changedAt?: number } {
  const changedAt = there?.LastModifiedTime?.getTime()
  return changedAt === undefined ? {} : { changedAt }
}

function arnOf(there: Connection | undefined): { readonly arn?: string } {
  return there?.ConnectionArn === undefined ? {} : { arn: there.ConnectionArn }
}

function stateOf({ ConnectionState, StateReason }: Connection): string {
  return `its state is ${ConnectionState ?? 'unknown'}${StateReason === undefined ? '' : ` (${StateReason})`}`
}
