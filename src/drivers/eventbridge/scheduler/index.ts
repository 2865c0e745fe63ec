/**
 * The EventBridge Scheduler driver of the trigger port: a schedule in one group for each of ours. Each puts an event on the default
 * bus, where one rule passes it on to the API destination, which calls us with the key of the connection; those two are kept as
 * for rules (../shared-objects.ts). It knows time zones, `at()`, a start and an end.
 *
 * ```
 * schedule (group = namespace) ──PutEvents──▶ default bus ──rule (= namespace)──▶ API destination ──▶ us
 *          as schedulerRoleArn                             as roleArn
 * ```
 * https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-templated.html
 */
import type { Clock } from '../../../kernel/clock.ts'
import { SignalboxError } from '../../../kernel/error.ts'
import type { ReconcileOptions, Trigger, TriggerDrift, TriggerRule } from '../../../ports/trigger.ts'
import { openEventBridgeClient, type EventBridge } from '../client.ts'
import { repaired, unseen } from '../drift.ts'
import type { EventBridgeOptions } from '../index.ts'
import { reconcileShared, removeShared, type SharedSettings } from '../shared-objects.ts'
import { reconcileBusRule, removeBusRule } from './bus-rule.ts'
import { openSchedulerClient, type Scheduler } from './client.ts'
import { ownGroup, reconcileGroup, removeGroup } from './group.ts'
import { list, look, make, remove, type Finding, type Listed } from './schedules.ts'
import { wanted, type Destination } from './wanted.ts'

export interface EventBridgeSchedulerOptions extends Omit<EventBridgeOptions, 'namePrefix'> {
  /** URL of a Scheduler that is not in the cloud; default: `endpoint`, else the region's. */
  readonly schedulerEndpoint?: string | undefined
  /** The role with which Scheduler may put events on the default bus; default: `roleArn`, which then must trust both services. */
  readonly schedulerRoleArn?: string | undefined
}

/** Schedules looked at beside each other; how many calls go out at once is less (`Calls`). */
const AT_ONCE = 16
/** https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html#API_CreateSchedule_RequestSyntax */
const MAX_TIME_ZONE = 50

/**
 * Opens the driver. Nothing is sent yet: what is wrong with region or credentials shows at the first call.
 * @throws SignalboxError `config_invalid`
 */
export async function openEventBridgeScheduler(options: EventBridgeSchedulerOptions): Promise<Trigger> {
  const { region, endpoint, schedulerEndpoint = endpoint, roleArn, shared } = options
  const client = await openEventBridgeClient(options)
  const scheduler = await openSchedulerClient({ ...options, endpoint: schedulerEndpoint })
  const facts = {
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    group: shared.namespace,
    rule: shared.namespace,
    connection: shared.connectionName,
    destination: shared.destinationName,
    url: shared.targetUrl,
    tag: `signalbox=${shared.namespace}`,
  }
  return new SchedulerTrigger(client, scheduler, facts, {
    shared: { ...shared, random: options.random },
    roleArn,
    schedulerRoleArn: options.schedulerRoleArn ?? roleArn,
    clock: options.clock,
  })
}

interface Settings {
  readonly shared: SharedSettings
  readonly roleArn: string
  readonly schedulerRoleArn: string
  readonly clock: Clock
}

class SchedulerTrigger implements Trigger {
  readonly kind = 'eventbridge-scheduler'
  readonly facts: Readonly<Record<string, string>>
  readonly #client: EventBridge
  readonly #scheduler: Scheduler
  readonly #settings: Settings
  /** ARN of our group, once it was seen to be ours. */
  #group: string | undefined
  /** Schedules that were as wanted: by name, when they had been changed last and what was wanted. Spares a read of each. */
  readonly #fine = new Map<string, { readonly changedAt: number; readonly want: string }>()

  constructor(
    client: EventBridge,
    scheduler: Scheduler,
    facts: Readonly<Record<string, string>>,
    settings: Settings,
  ) {
    this.#client = client
    this.#scheduler = scheduler
    this.facts = facts
    this.#settings = settings
  }

  objection({ timeZone }: TriggerRule): string | undefined {
    return timeZone.length > MAX_TIME_ZONE
      ? `EventBridge Scheduler takes names of time zones of ${MAX_TIME_ZONE} characters at most, not '${timeZone}'; use a shorter one`
      : undefined
  }

  async put(rule: TriggerRule): Promise<void> {
    const objection = this.objection(rule)
    if (objection !== undefined) throw new SignalboxError('invalid_argument', objection)
    const group = await this.#ownGroup()
    if (group === undefined) throw notReady(this.#namespace)
    const now = this.#now()
    this.#fine.delete(rule.name)
    await make(this.#scheduler, wanted(rule, this.#destination(group), now), now)
  }

  async remove(name: string): Promise<void> {
    this.#fine.delete(name)
    if ((await this.#ownGroup()) === undefined) return
    await remove(this.#scheduler, this.#namespace, name)
  }

  async reconcile(
    rules: readonly TriggerRule[],
    options: ReconcileOptions,
  ): Promise<readonly TriggerDrift[]> {
    const { shared, roleArn } = this.#settings
    const { arns, drift } = await reconcileShared(this.#client, shared, options)
    const bus = { namespace: this.#namespace, roleArn }
    const busDrift = await reconcileBusRule(this.#client, bus, arns?.destination, options)
    const group = await reconcileGroup(this.#scheduler, this.#namespace, options)
    this.#group = group.arn
    const common = [...drift, ...busDrift, ...group.drift]
    if (group.arn === undefined) return [...common, ...rules.map((rule) => withoutGroup(rule, options))]
    return [...common, ...(await this.#reconcileSchedules(rules, group.arn, options))]
  }

  async removeAll(): Promise<readonly string[]> {
    this.#group = undefined
    this.#fine.clear()
    const group = await removeGroup(this.#scheduler, this.#namespace)
    const rule = await removeBusRule(this.#client, this.#namespace)
    return [...group, ...rule, ...(await removeShared(this.#client, this.#settings.shared))]
  }

  close(): Promise<void> {
    this.#client.close()
    this.#scheduler.close()
    return Promise.resolve()
  }

  async #ownGroup(): Promise<string | undefined> {
    this.#group ??= await ownGroup(this.#scheduler, this.#namespace)
    return this.#group
  }

  get #namespace(): string {
    return this.#settings.shared.namespace
  }

  #now(): number {
    return this.#settings.clock.now()
  }

  /** The default bus is that of the group's region and account. */
  #destination(groupArn: string): Destination {
    const [arn, partition, , region, account] = groupArn.split(':')
    return {
      group: this.#namespace,
      namespace: this.#namespace,
      busArn: `${arn}:${partition}:events:${region}:${account}:event-bus/default`,
      roleArn: this.#settings.schedulerRoleArn,
    }
  }

  async #reconcileSchedules(
    rules: readonly TriggerRule[],
    groupArn: string,
    options: ReconcileOptions,
  ): Promise<readonly TriggerDrift[]> {
    const there = new Map(
      (await list(this.#scheduler, this.#namespace, options.signal)).map((each) => [each.name, each]),
    )
    const names = new Set(rules.map(({ name }) => name))
    const superfluous = [...there.keys()].filter((name) => !names.has(name))
    for (const name of this.#fine.keys()) if (!names.has(name)) this.#fine.delete(name)
    const destination = this.#destination(groupArn)
    const looks = [
      ...rules
        .filter((rule) => this.objection(rule) === undefined)
        .map((rule) => () => this.#reconcileOne(rule, there.get(rule.name), destination, options)),
      ...superfluous.map((name) => () => this.#removeOne(name, options)),
    ]
    return (await someAtOnce(looks)).filter((drift) => drift !== undefined)
  }

  async #reconcileOne(
    rule: TriggerRule,
    there: Listed | undefined,
    destination: Destination,
    options: ReconcileOptions,
  ): Promise<TriggerDrift | undefined> {
    const now = this.#now()
    const want = wanted(rule, destination, now)
    const text = JSON.stringify(want)
    const fine = this.#fine.get(rule.name)
    if (fine !== undefined && fine.changedAt === there?.changedAt && fine.want === text) return undefined
    const found = { object: 'rule', name: rule.name, schedule: rule.name } as const
    let finding: Finding | undefined
    try {
      finding = await look(this.#scheduler, want, now, options.signal)
    } catch (error) {
      return { ...unseen('rule', rule.name, error, options), schedule: rule.name }
    }
    if (finding === undefined) {
      if (there !== undefined && there.changedAt > 0)
        this.#fine.set(rule.name, { changedAt: there.changedAt, want: text })
      return undefined
    }
    const first = finding
    return repaired({ ...found, ...first }, options, () =>
      make(this.#scheduler, want, now, { first, signal: options.signal }),
    )
  }

  async #removeOne(name: string, options: ReconcileOptions): Promise<TriggerDrift | undefined> {
    try {
      if (options.repair && (await options.stillWanted?.(name)) === true) return undefined
    } catch (error) {
      return unseen('rule', name, error, options)
    }
    const found = { object: 'rule', name, problem: 'superfluous', detail: 'no schedule wants it' } as const
    return repaired(found, options, () => remove(this.#scheduler, this.#namespace, name, options.signal))
  }
}

function notReady(group: string): SignalboxError {
  return new SignalboxError(
    'unavailable',
    `the schedule group '${group}' is not ready; 'signalbox schedule eventbridge status' tells why`,
  )
}

function withoutGroup({ name }: TriggerRule, { repair }: ReconcileOptions): TriggerDrift {
  const error = repair ? { error: 'it needs the schedule group' } : {}
  return {
    object: 'rule',
    name,
    schedule: name,
    problem: 'missing',
    detail: 'its schedule group is not there',
    repaired: false,
    ...error,
  }
}

/** All of them, in order, few at a time. */
async function someAtOnce<T>(looks: readonly (() => Promise<T>)[]): Promise<readonly T[]> {
  const done: T[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    for (let mine = next++; mine < looks.length; mine = next++) {
      const look = looks[mine]
      if (look !== undefined) done[mine] = await look()
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return done
}
