/**
 * One rule as it should be: what is sent to AWS for it, and in what a rule there differs.
 *
 * The target's input names the schedule and the event's own time and id; the parameters of the job stay with us.
 * https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html, …/API_Target.html
 */
import type * as Sdk from '@aws-sdk/client-eventbridge'
import type { TriggerRule } from '../../ports/trigger.ts'
import { described } from './marks.ts'

export interface RuleSettings {
  readonly namespace: string
  /** Put before the name of a schedule, which gives the name of its rule. */
  readonly namePrefix: string
  /** The role with which EventBridge may call the API destination. */
  readonly roleArn: string
}

/** What we call the target of each rule. */
export const TARGET_ID = 'signalbox'
/** EventBridge's own longest: a day, and so many tries. */
const RETRY = { MaximumRetryAttempts: 185, MaximumEventAgeInSeconds: 86_400 }
const MAX_NAME = 64
/** Names of a time zone without offset and summer time. */
const UTC = /^(?:(?:Etc\/)?(?:UTC|UCT|Universal|Zulu|GMT|Greenwich|GMT[+-]?0))$/i

export function ruleName({ name }: Pick<TriggerRule, 'name'>, { namePrefix }: RuleSettings): string {
  return `${namePrefix}${name}`
}

/** Why EventBridge's rules cannot fire it. They know neither time zones nor `at()`, and have names of 64 characters. */
export function ruleObjection(rule: TriggerRule, settings: RuleSettings): string | undefined {
  const other = "use UTC, or the server's setting schedules.trigger: eventbridge-scheduler or embedded"
  if (!UTC.test(rule.timeZone))
    return `rules of Amazon EventBridge are in UTC, not ${rule.timeZone}; ${other}`
  if (/^\s*at\s*\(/i.test(rule.expression)) {
    return `rules of Amazon EventBridge know no at(); write cron(…) with a year, or use the server's setting schedules.trigger: eventbridge-scheduler or embedded`
  }
  const longest = MAX_NAME - settings.namePrefix.length
  if (rule.name.length > longest)
    return `with the prefix '${settings.namePrefix}' its name may have ${longest} characters; shorten it`
  return undefined
}

export function putRuleInput(rule: TriggerRule, settings: RuleSettings) {
  return {
    Name: ruleName(rule, settings),
    ScheduleExpression: rule.expression,
    State: stateOf(rule),
    Description: described(rule.description ?? `Schedule ${rule.name} of Signalbox`, settings.namespace),
  }
}

export function targetOf(rule: TriggerRule, destination: string, { roleArn }: RuleSettings): Sdk.Target {
  return {
    Id: TARGET_ID,
    Arn: destination,
    RoleArn: roleArn,
    InputTransformer: {
      InputPathsMap: { time: '$.time', id: '$.id' },
      // A placeholder outside quotes stands for a whole JSON value.
      InputTemplate: `{"schedule":${JSON.stringify(rule.name)},"time":<time>,"id":<id>}`,
    },
    RetryPolicy: RETRY,
  }
}

/** In what the rule differs; undefined when in nothing. */
export function ruleDifference(
  there: Sdk.Rule,
  rule: TriggerRule,
  settings: RuleSettings,
): string | undefined {
  const wanted = putRuleInput(rule, settings)
  if (there.ScheduleExpression !== wanted.ScheduleExpression)
    return `its expression is ${there.ScheduleExpression ?? 'missing'}, not ${wanted.ScheduleExpression}`
  if (there.EventPattern !== undefined) return 'it has an event pattern'
  if (there.State !== wanted.State) return `its state is ${there.State ?? 'unknown'}, not ${wanted.State}`
  if (there.Description !== wanted.Description) return 'its description is another'
  return undefined
}

/** In what our target differs from what there is under its id. */
export function targetDifference(targets: readonly Sdk.Target[], wanted: Sdk.Target): string | undefined {
  const there = targets.find(({ Id }) => Id === TARGET_ID)
  if (there === undefined) return 'the target is missing'
  if (there.Arn !== wanted.Arn) return `the target is ${there.Arn ?? 'nothing'}, not ${wanted.Arn}`
  if (there.RoleArn !== wanted.RoleArn)
    return `the target's role is ${there.RoleArn ?? 'missing'}, not ${wanted.RoleArn}`
  if (there.Input !== undefined || there.InputPath !== undefined) return "the target's input is another"
  if (!sameInput(there.InputTransformer, wanted.InputTransformer)) return "the target's input is another"
  const { MaximumRetryAttempts, MaximumEventAgeInSeconds } = there.RetryPolicy ?? RETRY
  if (
    (MaximumRetryAttempts ?? RETRY.MaximumRetryAttempts) !== RETRY.MaximumRetryAttempts ||
    (MaximumEventAgeInSeconds ?? RETRY.MaximumEventAgeInSeconds) !== RETRY.MaximumEventAgeInSeconds
  )
    return "the target's retry policy is another"
  return undefined
}

/** Targets of other ids that call us as well: those of a set-up before ours. */
export function secondTargets(targets: readonly Sdk.Target[], destination: string): string[] {
  return targets.flatMap(({ Id, Arn }) =>
    Arn === destination && Id !== undefined && Id !== TARGET_ID ? [Id] : [],
  )
}

function sameInput(a: Sdk.InputTransformer | undefined, b: Sdk.InputTransformer | undefined): boolean {
  const paths = ({ InputPathsMap = {} }: Sdk.InputTransformer): string =>
    JSON.stringify(Object.entries(InputPathsMap).toSorted(([x], [y]) => (x < y ? -1 : 1)))
  if (a === undefined || b === undefined) return a === b
  return a.InputTemplate === b.InputTemplate && paths(a) === paths(b)
}

function stateOf({ enabled }: TriggerRule): 'ENABLED' | 'DISABLED' {
  return enabled ? 'ENABLED' : 'DISABLED'
}
