/**
 * The API destination: our address. Rules name it by its ARN, which stays when its URL changes.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
 */
import type * as Sdk from '@aws-sdk/client-eventbridge'
import type { ReconcileOptions, TriggerDrift } from '../../ports/trigger.ts'
import type { EventBridge } from './client.ts'
import { foreign, repaired } from './drift.ts'
import { isExisting, unlessAbsent } from './errors.ts'
import { described, isMarked } from './marks.ts'
import type { SharedSettings } from './shared-objects.ts'

type Destination = Sdk.DescribeApiDestinationCommandOutput

interface Outcome {
  readonly arn?: string
  readonly drift: readonly TriggerDrift[]
}

/** @param connection its ARN; without one there can be no destination */
export async function reconcileDestination(
  client: EventBridge,
  settings: SharedSettings,
  connection: string | undefined,
  options: ReconcileOptions,
): Promise<Outcome> {
  const { destinationName: name, namespace } = settings
  const there = await describe(client, name, options.signal)
  const found = { object: 'destination', name } as const
  if (there === undefined) {
    const missing = { ...found, problem: 'missing', detail: 'there is no such API destination' } as const
    if (connection === undefined) {
      const error = options.repair ? { error: 'it needs the connection' } : {}
      return { drift: [{ ...missing, repaired: false, ...error }] }
    }
    const drift = await repaired(missing, options, () => create(client, settings, connection, options))
    const made = options.repair ? await describe(client, name, options.signal) : undefined
    return { ...arnOf(drift.repaired ? made : undefined), drift: [drift] }
  }
  if (!isMarked(there.Description, namespace) && !(options.adopt === true && options.repair)) {
    const choose = 'choose another schedules.eventBridge.apiDestinationName'
    return { drift: [foreign('destination', name, choose)] }
  }
  const different = differences(there, settings, connection)
  if (different === undefined) return { ...arnOf(there), drift: [] }
  const update = async (): Promise<void> => {
    const facts = factsOf('UpdateApiDestination', name, options)
    const input = { Name: name, ...contents(settings, connection ?? there.ConnectionArn) }
    await client.call(facts, () => new client.sdk.UpdateApiDestinationCommand(input))
  }
  return { ...arnOf(there), drift: [await repaired({ ...found, ...different }, options, update)] }
}

/** Deletes it if it is ours. @returns what it removed */
export async function removeDestination(client: EventBridge, settings: SharedSettings): Promise<string[]> {
  const { destinationName: Name, namespace } = settings
  const there = await describe(client, Name)
  if (there === undefined || !isMarked(there.Description, namespace)) return []
  const facts = factsOf('DeleteApiDestination', Name)
  await client.call(facts, () => new client.sdk.DeleteApiDestinationCommand({ Name })).catch(unlessAbsent)
  return [`API destination ${Name}`]
}

function differences(
  there: Destination,
  { targetUrl, namespace }: SharedSettings,
  connection: string | undefined,
): Pick<TriggerDrift, 'problem' | 'detail'> | undefined {
  const changed = (detail: string) => ({ problem: 'changed', detail }) as const
  if (!isMarked(there.Description, namespace)) return changed('it does not carry our mark')
  if (there.InvocationEndpoint !== targetUrl)
    return changed(`it calls ${there.InvocationEndpoint ?? 'nothing'}, not ${targetUrl}`)
  if (there.HttpMethod !== 'POST')
    return changed(`it calls with ${there.HttpMethod ?? 'nothing'}, not with POST`)
  if (connection !== undefined && there.ConnectionArn !== connection)
    return changed(`it uses ${there.ConnectionArn ?? 'no connection'}, not ${connection}`)
  if (there.ApiDestinationState === 'INACTIVE')
    return { problem: 'not_ready', detail: 'its state is INACTIVE' }
  return undefined
}

async function create(
  client: EventBridge,
  settings: SharedSettings,
  connection: string,
  options: ReconcileOptions,
): Promise<void> {
  const { destinationName: Name } = settings
  const input = { Name, ...contents(settings, connection) }
  try {
    const facts = factsOf('CreateApiDestination', Name, options)
    await client.call(facts, () => new client.sdk.CreateApiDestinationCommand(input))
  } catch (error) {
    // Another replica's, or our own of which the answer was lost.
    if (!isExisting(error)) throw error
    const there = await describe(client, Name, options.signal)
    if (there === undefined || differences(there, settings, connection) !== undefined) throw error
  }
}

/** How many calls a second it may make is not ours to say: what an operator sets stays. */
function contents({ namespace, targetUrl }: SharedSettings, connection: string | undefined) {
  return {
    Description: described('Where EventBridge calls Signalbox', namespace),
    ConnectionArn: connection,
    InvocationEndpoint: targetUrl,
    HttpMethod: 'POST' as const,
  }
}

async function describe(
  client: EventBridge,
  Name: string,
  signal?: AbortSignal,
): Promise<Destination | undefined> {
  const facts = {
    operation: 'DescribeApiDestination',
    what: `API destination '${Name}'`,
    effect: false,
    signal,
  }
  return client.call(facts, () => new client.sdk.DescribeApiDestinationCommand({ Name })).catch(unlessAbsent)
}

function factsOf(operation: string, name: string, { signal }: Partial<ReconcileOptions> = {}) {
  return { operation, what: `API destination '${name}'`, effect: true, signal }
}

function arnOf(there: Destination | undefined): { readonly arn?: string } {
  return there?.ApiDestinationArn === undefined ? {} : { arn: there.ApiDestinationArn }
}
