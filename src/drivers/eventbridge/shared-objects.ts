/**
 * What all rules share: the connection, which holds the key, and the API destination, which holds our address.
 *
 * Invariants: an object without our mark is never written; when all is as it should be, nothing is written.
 * A key cannot be read back, so whoever calls keeps a note of it (`KeyNotes`): a MAC of the key that was written, and when AWS
 * says that the connection was changed last.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-target-connection.html
 */
import type { Random } from '../../kernel/id.ts'
import type { ReconcileOptions, TriggerDrift } from '../../ports/trigger.ts'
import type { EventBridge } from './client.ts'
import { reconcileConnection, removeConnection } from './connection.ts'
import { reconcileDestination, removeDestination } from './destination.ts'

/** What is remembered of the key that was written last. */
export interface KeyNote {
  readonly salt: string
  /** HMAC-SHA256 of header and key under the salt, as base64url. */
  readonly mac: string
  /** When AWS says that the connection was changed last, milliseconds since the epoch; absent where it does not tell. */
  readonly changedAt?: number
}

/** Kept durably, one for all replicas. */
export interface KeyNotes {
  get(): Promise<KeyNote | undefined>
  put(note: KeyNote): Promise<void>
}

export interface SharedSettings {
  /** Whose objects these are: the value of the tag. */
  readonly namespace: string
  readonly connectionName: string
  readonly destinationName: string
  /** The whole URL that is called. */
  readonly targetUrl: string
  readonly authHeader: string
  readonly apiKey: string
  readonly keyNotes: KeyNotes
  readonly random: Random
}

export interface SharedArns {
  readonly connection: string
  readonly destination: string
}

export interface SharedState {
  /** Absent when one of them is missing, foreign or could not be made. */
  readonly arns?: SharedArns
  readonly drift: readonly TriggerDrift[]
}

/** @throws SignalboxError when it cannot be looked at; what cannot be written is told as drift */
export async function reconcileShared(
  client: EventBridge,
  settings: SharedSettings,
  options: ReconcileOptions,
): Promise<SharedState> {
  const connection = await reconcileConnection(client, settings, options)
  const destination = await reconcileDestination(client, settings, connection.arn, options)
  const drift = [...connection.drift, ...destination.drift]
  if (connection.arn === undefined || destination.arn === undefined) return { drift }
  return { arns: { connection: connection.arn, destination: destination.arn }, drift }
}

/** Removes what carries our mark; rules that use it must be gone. @returns what it removed */
export async function removeShared(
  client: EventBridge,
  settings: SharedSettings,
): Promise<readonly string[]> {
  return [...(await removeDestination(client, settings)), ...(await removeConnection(client, settings))]
}
