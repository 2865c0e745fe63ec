/**
 * The one rule on the default bus that passes the events of our schedules on to the API destination, which EventBridge
 * Scheduler cannot call itself.
 */
import type * as Sdk from '@aws-sdk/client-eventbridge'
import { isDeepStrictEqual } from 'node:util'
import type { ReconcileOptions, TriggerDrift } from '../../../ports/trigger.ts'
import type { EventBridge } from '../client.ts'
import { foreign, repaired } from '../drift.ts'
import { described, isTagged } from '../marks.ts'
import { RuleCalls } from '../rule-calls.ts'
import { TARGET_ID, targetDifference, targetOf } from '../rule.ts'
import { DETAIL_TYPE, SOURCE } from './wanted.ts'

export interface BusRuleSettings {
  /** Of the rule, and the value of its tag. */
  readonly namespace: string
  /** The role with which EventBridge may call the API destination. */
  readonly roleArn: string
}

/** @param destination ARN of the API destination; undefined when there is none: then the rule can have no target */
export async function reconcileBusRule(
  client: EventBridge,
  settings: BusRuleSettings,
  destination: string | undefined,
  options: ReconcileOptions,
): Promise<readonly TriggerDrift[]> {
  const { namespace: name } = settings
  const calls = new RuleCalls(client, options.signal)
  const input = ruleInput(name)
  const there = await calls.describe(name)
  if (there === undefined) {
    const missing = { object: 'bus_rule', name, problem: 'missing', detail: 'there is no such rule' } as const
    const mend = async (): Promise<void> => {
      await calls.put(input, name)
      if (destination !== undefined) await calls.putTarget(name, busTarget(destination, settings))
    }
    return [await repaired(missing, options, mend)]
  }
  const ours = isTagged(await calls.tags(there), name)
  if (!ours && !(options.adopt === true && options.repair)) {
    return [foreign('bus_rule', name, 'choose another schedules.eventBridge.namespace')]
  }
  const different = ours ? ruleDifference(there, input) : 'it does not carry our mark'
  const found: TriggerDrift[] = []
  if (different !== undefined) {
    const changed = { object: 'bus_rule', name, problem: 'changed', detail: different } as const
    const mend = async (): Promise<void> => {
      if (!ours) await calls.tag(there, name)
      await calls.put(input, name)
    }
    found.push(await repaired(changed, options, mend))
  }
  return [...found, ...(await reconcileTarget(calls, settings, destination, options))]
}

/** Removes it if it is ours. @returns what it removed */
export async function removeBusRule(client: EventBridge, name: string): Promise<readonly string[]> {
  const calls = new RuleCalls(client)
  const there = await calls.describe(name)
  if (there === undefined || !isTagged(await calls.tags(there), name)) return []
  await calls.remove(name)
  return [`rule ${name}`]
}

async function reconcileTarget(
  calls: RuleCalls,
  settings: BusRuleSettings,
  destination: string | undefined,
  options: ReconcileOptions,
): Promise<readonly TriggerDrift[]> {
  if (destination === undefined) return []
  const { namespace: name } = settings
  const target = busTarget(destination, settings)
  const targets = await calls.targets(name)
  // A second target would have every event delivered twice.
  const others = targets.flatMap(({ Id }) => (Id === undefined || Id === TARGET_ID ? [] : [Id]))
  const different = targetDifference(targets, target)
  if (different === undefined && others.length === 0) return []
  const detail = different ?? `it has targets that are not ours: ${others.join(', ')}`
  const mend = async (): Promise<void> => {
    if (different !== undefined) await calls.putTarget(name, target)
    if (others.length > 0) await calls.removeTargets(name, others)
  }
  // Not one of a schedule: as long as it is wrong, none arrives.
  return [await repaired({ object: 'bus_rule', name, problem: 'changed', detail }, options, mend)]
}

function ruleInput(namespace: string) {
  const pattern = { source: [SOURCE], 'detail-type': [DETAIL_TYPE], detail: { namespace: [namespace] } }
  return {
    Name: namespace,
    EventPattern: JSON.stringify(pattern),
    State: 'ENABLED' as const,
    Description: described('Passes schedules of EventBridge Scheduler on to Signalbox', namespace),
  }
}

/** As that of a rule for one schedule, but that the event tells which. */
function busTarget(destination: string, { namespace, roleArn }: BusRuleSettings): Sdk.Target {
  const rule = { name: '', expression: '', timeZone: 'UTC', enabled: true }
  return {
    ...targetOf(rule, destination, { namespace, namePrefix: '', roleArn }),
    InputTransformer: {
      InputPathsMap: { schedule: '$.detail.schedule', time: '$.detail.time', id: '$.id' },
      // A placeholder outside quotes stands for a whole JSON value.
      InputTemplate: '{"schedule":<schedule>,"time":<time>,"id":<id>}',
    },
  }
}

function ruleDifference(there: Sdk.Rule, wanted: ReturnType<typeof ruleInput>): string | undefined {
  if (!isDeepStrictEqual(parsed(there.EventPattern), parsed(wanted.EventPattern)))
    return 'its event pattern is another'
  if (there.ScheduleExpression !== undefined && there.ScheduleExpression !== '')
    return `it has an expression, ${there.ScheduleExpression}`
  if (there.State !== wanted.State) return `its state is ${there.State ?? 'unknown'}, not ${wanted.State}`
  if (there.Description !== wanted.Description) return 'its description is another'
  return undefined
}

/** AWS may tell the same JSON otherwise than it was given. */
function parsed(pattern: string | undefined): unknown {
  try {
    return JSON.parse(pattern ?? 'null')
  } catch {
    return undefined
  }
}
