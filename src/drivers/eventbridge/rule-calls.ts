/**
 * The calls about rules on the default event bus, the only one that fires schedules.
 *
 * Invariants: a list is read to its end; what AWS did not do of a batch (`FailedEntryCount`) is repeated or thrown; targets go
 * before their rule.
 */
import type * as Sdk from '@aws-sdk/client-eventbridge'
import { SignalboxError } from '../../kernel/error.ts'
import type { EventBridge } from './client.ts'
import { isPassingCode, unlessAbsent } from './errors.ts'
import { TAG_KEY } from './marks.ts'

const PAGE = 100
const BATCH = 10
const ENTRY_ATTEMPTS = 6

export class RuleCalls {
  readonly #client: EventBridge
  readonly #signal: AbortSignal | undefined

  constructor(client: EventBridge, signal?: AbortSignal) {
    this.#client = client
    this.#signal = signal
  }

  /** All rules of the bus. */
  async list(): Promise<readonly Sdk.Rule[]> {
    const { sdk } = this.#client
    const facts = this.#facts('ListRules', 'rules', false)
    return pages(async (NextToken) => {
      const page = { Limit: PAGE, ...(NextToken === undefined ? {} : { NextToken }) }
      const answer = await this.#client.call(facts, () => new sdk.ListRulesCommand(page))
      return { items: answer.Rules ?? [], next: answer.NextToken }
    })
  }

  /** Names of the rules that have this target. */
  async namesByTarget(TargetArn: string): Promise<readonly string[]> {
    const { sdk } = this.#client
    const facts = this.#facts('ListRuleNamesByTarget', 'rules', false)
    return pages(async (NextToken) => {
      const page = { TargetArn, Limit: PAGE, ...(NextToken === undefined ? {} : { NextToken }) }
      const answer = await this.#client.call(facts, () => new sdk.ListRuleNamesByTargetCommand(page))
      return { items: answer.RuleNames ?? [], next: answer.NextToken }
    })
  }

  async describe(Name: string): Promise<Sdk.Rule | undefined> {
    const { sdk } = this.#client
    const facts = this.#facts('DescribeRule', what(Name), false)
    return this.#client.call(facts, () => new sdk.DescribeRuleCommand({ Name })).catch(unlessAbsent)
  }

  /** None when the rule is gone. */
  async tags({ Name, Arn }: Sdk.Rule): Promise<readonly Sdk.Tag[]> {
    const { sdk } = this.#client
    const facts = this.#facts('ListTagsForResource', what(Name), false)
    const input = { ResourceARN: Arn ?? '' }
    const call = this.#client.call(facts, () => new sdk.ListTagsForResourceCommand(input))
    return (await call.catch(unlessAbsent))?.Tags ?? []
  }

  /** None when the rule is gone. */
  async targets(Rule: string): Promise<readonly Sdk.Target[]> {
    const { sdk } = this.#client
    const facts = this.#facts('ListTargetsByRule', what(Rule), false)
    const all = pages(async (NextToken) => {
      const page = { Rule, Limit: PAGE, ...(NextToken === undefined ? {} : { NextToken }) }
      const answer = await this.#client.call(facts, () => new sdk.ListTargetsByRuleCommand(page))
      return { items: answer.Targets ?? [], next: answer.NextToken }
    })
    return (await all.catch(unlessAbsent)) ?? []
  }

  /** Replaces the rule wholly, or makes it with its tag; AWS ignores tags of a rule that is there. */
  async put(input: Sdk.PutRuleCommandInput, namespace: string): Promise<void> {
    const { sdk } = this.#client
    const facts = this.#facts('PutRule', what(input.Name), true)
    const tagged = { ...input, Tags: [{ Key: TAG_KEY, Value: namespace }] }
    await this.#client.call(facts, () => new sdk.PutRuleCommand(tagged))
  }

  async tag({ Name, Arn }: Sdk.Rule, namespace: string): Promise<void> {
    const { sdk } = this.#client
    const facts = this.#facts('TagResource', what(Name), true)
    const input = { ResourceARN: Arn ?? '', Tags: [{ Key: TAG_KEY, Value: namespace }] }
    await this.#client.call(facts, () => new sdk.TagResourceCommand(input))
  }

  async putTarget(Rule: string, target: Sdk.Target): Promise<void> {
    const { sdk } = this.#client
    const facts = this.#facts('PutTargets', what(Rule), true)
    await this.#entries(facts, async () => {
      const input = { Rule, Targets: [target] }
      return (await this.#client.call(facts, () => new sdk.PutTargetsCommand(input))).FailedEntries
    })
  }

  /** A rule or target that is gone counts as removed. */
  async removeTargets(Rule: string, ids: readonly string[]): Promise<void> {
    const { sdk } = this.#client
    const facts = this.#facts('RemoveTargets', what(Rule), true)
    for (let from = 0; from < ids.length; from += BATCH) {
      const input = { Rule, Ids: ids.slice(from, from + BATCH) }
      await this.#entries(facts, async () => {
        const call = this.#client.call(facts, () => new sdk.RemoveTargetsCommand(input))
        const failed = (await call.catch(unlessAbsent))?.FailedEntries ?? []
        return failed.filter(({ ErrorCode }) => ErrorCode !== 'ResourceNotFoundException')
      })
    }
  }

  /** With all its targets. */
  async remove(Name: string): Promise<void> {
    const { sdk } = this.#client
    const targets = await this.targets(Name)
    await this.removeTargets(
      Name,
      targets.flatMap(({ Id }) => Id ?? []),
    )
    const facts = this.#facts('DeleteRule', what(Name), true)
    await this.#client.call(facts, () => new sdk.DeleteRuleCommand({ Name })).catch(unlessAbsent)
  }

  #facts(operation: string, about: string, effect: boolean) {
    return { operation, what: about, effect, signal: this.#signal }
  }

  /** AWS answers 200 although it did not do some entries, and says so. @param send gives the entries that failed */
  async #entries(
    { operation, what: about }: { readonly operation: string; readonly what: string },
    send: () => Promise<readonly Sdk.PutTargetsResultEntry[] | undefined>,
  ): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const [failed] = (await send()) ?? []
      if (failed === undefined) return
      if (!isPassingCode(failed.ErrorCode) || attempt >= ENTRY_ATTEMPTS - 1) {
        const said = `${failed.ErrorCode ?? 'no code'}: ${failed.ErrorMessage ?? 'no reason'}`
        throw new SignalboxError(
          isPassingCode(failed.ErrorCode) ? 'throttled' : 'invalid_argument',
          `EventBridge ${about}: ${operation} did not take the target (${said}); check schedules.eventBridge.targetRoleArn and the API destination`,
        )
      }
      await this.#client.calls.pause(attempt, this.#signal)
    }
  }
}

async function pages<T>(
  read: (
    token: string | undefined,
  ) => Promise<{ readonly items: readonly T[]; readonly next?: string | undefined }>,
): Promise<readonly T[]> {
  const all: T[] = []
  let token: string | undefined
  do {
    const { items, next } = await read(token)
    all.push(...items)
    token = next
  } while (token !== undefined && token !== '')
  return all
}

function what(name: string | undefined): string {
  return `rule '${name ?? ''}'`
}
