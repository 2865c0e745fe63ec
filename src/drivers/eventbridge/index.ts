/**
 * The EventBridge driver of the trigger port: a rule on the default bus for each schedule, whose target is one API
 * destination, which calls us with the key of one connection. The SDK loads when the driver opens.
 *
 * AWS calls rules that fire by the clock legacy, in favour of EventBridge Scheduler (`scheduler/`): they are in UTC and know no
 * `at()`. https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html
 */
import { SignalboxError } from '../../kernel/error.ts'
import type { ReconcileOptions, Trigger, TriggerDrift, TriggerRule } from '../../ports/trigger.ts'
import { openEventBridgeClient, type AwsOptions, type EventBridge } from './client.ts'
import { ruleObjection, type RuleSettings } from './rule.ts'
import { Rules } from './rules.ts'
import { reconcileShared, removeShared, type SharedSettings } from './shared-objects.ts'

export type { AwsCredentials, AwsOptions } from './client.ts'
export type { KeyNote, KeyNotes, SharedSettings } from './shared-objects.ts'

export interface EventBridgeOptions extends AwsOptions {
  readonly shared: Omit<SharedSettings, 'random'>
  /** The role with which EventBridge may call the API destination. */
  readonly roleArn: string
  /** Put before the name of a schedule, which gives the name of its rule; default none. */
  readonly namePrefix?: string
}

/**
 * Opens the driver. Nothing is sent yet: what is wrong with region or credentials shows at the first call.
 * @throws SignalboxError `config_invalid`
 */
export async function openEventBridgeTrigger(options: EventBridgeOptions): Promise<Trigger> {
  const client = await openEventBridgeClient(options)
  const { shared, roleArn, namePrefix = '', endpoint, random } = options
  const region = options.region ?? (await client.region())
  const { connectionName, destinationName, targetUrl, namespace } = shared
  const facts = {
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    connection: connectionName,
    destination: destinationName,
    url: targetUrl,
    tag: `signalbox=${namespace}`,
  }
  return new EventBridgeTrigger(client, { ...shared, random }, { namespace, namePrefix, roleArn }, facts)
}

class EventBridgeTrigger implements Trigger {
  readonly kind = 'eventbridge'
  readonly facts: Readonly<Record<string, string>>
  readonly #client: EventBridge
  readonly #shared: SharedSettings
  readonly #settings: RuleSettings
  readonly #rules: Rules
  /** ARN of the API destination, as the last look found it. */
  #destination: string | undefined

  constructor(
    client: EventBridge,
    shared: SharedSettings,
    settings: RuleSettings,
    facts: Readonly<Record<string, string>>,
  ) {
    this.#client = client
    this.#shared = shared
    this.#settings = settings
    this.#rules = new Rules(client, settings)
    this.facts = facts
  }

  objection(rule: TriggerRule): string | undefined {
    return ruleObjection(rule, this.#settings)
  }

  async put(rule: TriggerRule): Promise<void> {
    const objection = this.objection(rule)
    if (objection !== undefined) throw new SignalboxError('invalid_argument', objection)
    this.#destination ??= (
      await reconcileShared(this.#client, this.#shared, { repair: false })
    ).arns?.destination
    if (this.#destination === undefined) {
      throw new SignalboxError('unavailable', 'the connection and the API destination are not there yet')
    }
    await this.#rules.put(rule, this.#destination)
  }

  remove(name: string): Promise<void> {
    return this.#rules.remove(name)
  }

  async reconcile(
    rules: readonly TriggerRule[],
    options: ReconcileOptions,
  ): Promise<readonly TriggerDrift[]> {
    const { arns, drift } = await reconcileShared(this.#client, this.#shared, options)
    this.#destination = arns?.destination
    return [...drift, ...(await this.#rules.reconcile(rules, this.#destination, options))]
  }

  async removeAll(): Promise<readonly string[]> {
    const { arns } = await reconcileShared(this.#client, this.#shared, { repair: false })
    const rules = await this.#rules.removeAll(arns?.destination)
    this.#destination = undefined
    return [...rules, ...(await removeShared(this.#client, this.#shared))]
  }

  close(): Promise<void> {
    this.#client.close()
    return Promise.resolve()
  }
}
