/**
 * Rules on the default bus, one for each schedule: compared with what there is, made, mended, removed.
 *
 * Invariants: a rule without our tag is never written; a rule is looked at before it is written, so that one that is as it
 * should be costs no write.
 */
import type * as Sdk from '@aws-sdk/client-eventbridge'
import { SignalboxError } from '../../kernel/error.ts'
import type { ReconcileOptions, TriggerDrift, TriggerRule } from '../../ports/trigger.ts'
import type { EventBridge } from './client.ts'
import { foreign, repaired, unseen } from './drift.ts'
import { isMarked, isTagged } from './marks.ts'
import { RuleCalls } from './rule-calls.ts'
import {
  putRuleInput,
  ruleDifference,
  ruleName,
  ruleObjection,
  secondTargets,
  targetDifference,
  targetOf,
  type RuleSettings,
} from './rule.ts'

/** How one rule there stands to what is wanted. */
interface Finding {
  readonly drift: Pick<TriggerDrift, 'object' | 'name' | 'problem' | 'detail'>
  readonly mend: () => Promise<void>
}

export class Rules {
  readonly #client: EventBridge
  readonly #settings: RuleSettings

  constructor(client: EventBridge, settings: RuleSettings) {
    this.#client = client
    this.#settings = settings
  }

  /** @param destination ARN of the API destination. @throws SignalboxError; `conflict` for a rule that is not ours */
  async put(rule: TriggerRule, destination: string): Promise<void> {
    const calls = new RuleCalls(this.#client)
    const name = ruleName(rule, this.#settings)
    const there = await calls.describe(name)
    const finding = await this.#compare(calls, rule, there, destination, false)
    if (finding === 'foreign') throw notOurs(name)
    await finding?.mend()
  }

  async remove(schedule: string): Promise<void> {
    const calls = new RuleCalls(this.#client)
    const name = ruleName({ name: schedule }, this.#settings)
    const there = await calls.describe(name)
    if (there !== undefined && (await this.#isOurs(calls, there))) await calls.remove(name)
  }

  /** @param destination undefined when there is none: then nothing can be put */
  async reconcile(
    wanted: readonly TriggerRule[],
    destination: string | undefined,
    options: ReconcileOptions,
  ): Promise<readonly TriggerDrift[]> {
    const calls = new RuleCalls(this.#client, options.signal)
    const rules = wanted.filter((rule) => ruleObjection(rule, this.#settings) === undefined)
    const there = new Map((await calls.list()).map((rule) => [rule.Name ?? '', rule]))
    const calling = destination === undefined ? [] : await calls.namesByTarget(destination)
    const names = new Set(rules.map((rule) => ruleName(rule, this.#settings)))
    const others = [...there.values()].filter(
      ({ Name = '', Description }) =>
        !names.has(Name) && (isMarked(Description, this.#settings.namespace) || calling.includes(Name)),
    )
    const found = await Promise.all([
      ...rules.map((rule) => this.#reconcileOne(calls, rule, there, destination, options)),
      ...others.map((rule) => this.#removeOne(calls, rule, options)),
    ])
    return found.filter((drift) => drift !== undefined)
  }

  /** All that are ours. @returns their names */
  async removeAll(destination: string | undefined): Promise<readonly string[]> {
    const calls = new RuleCalls(this.#client)
    const calling = destination === undefined ? [] : await calls.namesByTarget(destination)
    const removed: string[] = []
    for (const rule of await calls.list()) {
      const { Name = '', Description } = rule
      const maybeOurs = isMarked(Description, this.#settings.namespace) || calling.includes(Name)
      if (!maybeOurs || !(await this.#isOurs(calls, rule))) continue
      await calls.remove(Name)
      removed.push(`rule ${Name}`)
    }
    return removed
  }

  async #reconcileOne(
    calls: RuleCalls,
    rule: TriggerRule,
    all: ReadonlyMap<string, Sdk.Rule>,
    destination: string | undefined,
    options: ReconcileOptions,
  ): Promise<TriggerDrift | undefined> {
    const name = ruleName(rule, this.#settings)
    const adopt = options.adopt === true && options.repair
    try {
      const finding = await this.#compare(calls, rule, all.get(name), destination, adopt)
      if (finding === undefined) return undefined
      if (finding === 'foreign') {
        const otherwise = 'rename the schedule, or set schedules.eventBridge.namePrefix'
        return { ...foreign('rule', name, otherwise), schedule: rule.name }
      }
      return { ...(await repaired(finding.drift, options, finding.mend)), schedule: rule.name }
    } catch (error) {
      return { ...unseen('rule', name, error, options), schedule: rule.name }
    }
  }

  /** What is to be done about it; undefined for nothing. */
  async #compare(
    calls: RuleCalls,
    rule: TriggerRule,
    there: Sdk.Rule | undefined,
    destination: string | undefined,
    adopt: boolean,
  ): Promise<Finding | 'foreign' | undefined> {
    const { namespace } = this.#settings
    const input = putRuleInput(rule, this.#settings)
    const name = input.Name
    const target = targetOf(rule, destination ?? '', this.#settings)
    const putTarget = async (): Promise<void> => {
      if (destination === undefined) throw noDestination()
      await calls.putTarget(name, target)
    }
    if (there === undefined) {
      const mend = async (): Promise<void> => {
        if (destination === undefined) throw noDestination()
        await calls.put(input, namespace)
        await putTarget()
      }
      return { drift: { object: 'rule', name, problem: 'missing', detail: 'there is no such rule' }, mend }
    }
    const ours = isTagged(await calls.tags(there), namespace)
    if (!ours && !adopt) return 'foreign'
    const targets = await calls.targets(name)
    const inRule = ours ? ruleDifference(there, rule, this.#settings) : 'it does not carry our mark'
    const second = destination === undefined ? [] : secondTargets(targets, destination)
    const inTarget = second.length > 0 ? `the targets ${second.join(', ')} call us too` : differenceOfTarget()
    if (inRule === undefined && inTarget === undefined) return undefined
    const mend = async (): Promise<void> => {
      if (!ours) await calls.tag(there, namespace)
      if (inRule !== undefined) await calls.put(input, namespace)
      if (differenceOfTarget() !== undefined) await putTarget()
      await calls.removeTargets(name, second)
    }
    const object = inRule === undefined ? 'target' : 'rule'
    return { drift: { object, name, problem: 'changed', detail: inRule ?? inTarget ?? '' }, mend }

    function differenceOfTarget(): string | undefined {
      return destination === undefined ? undefined : targetDifference(targets, target)
    }
  }

  async #removeOne(
    calls: RuleCalls,
    rule: Sdk.Rule,
    options: ReconcileOptions,
  ): Promise<TriggerDrift | undefined> {
    const { Name: name = '' } = rule
    const found = { object: 'rule', name, problem: 'superfluous', detail: 'no schedule wants it' } as const
    try {
      if (!(await this.#isOurs(calls, rule))) return undefined
      const schedule = name.slice(this.#settings.namePrefix.length)
      if (options.repair && (await options.stillWanted?.(schedule)) === true) return undefined
    } catch (error) {
      return unseen('rule', name, error, options)
    }
    return repaired(found, options, () => calls.remove(name))
  }

  async #isOurs(calls: RuleCalls, rule: Sdk.Rule): Promise<boolean> {
    return isTagged(await calls.tags(rule), this.#settings.namespace)
  }
}

function noDestination(): SignalboxError {
  return new SignalboxError(
    'unavailable',
    'the connection and the API destination, which all rules need, are not there yet',
  )
}

function notOurs(name: string): SignalboxError {
  return new SignalboxError(
    'conflict',
    `there is a rule '${name}' without our tag, which is not touched; rename the schedule, set schedules.eventBridge.namePrefix, or take it over with 'signalbox schedule eventbridge reconcile --adopt'`,
  )
}
