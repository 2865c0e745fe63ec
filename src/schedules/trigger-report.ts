/** What a comparison of the external trigger means for each schedule. Pure. */
import type { Trigger, TriggerDrift, TriggerRule } from '../ports/trigger.ts'
import type { NotInSync, Report } from './trigger-records.ts'

/** Which schedules are not as they should be there, and why; `error` is about all. */
export function notInSync(
  trigger: Trigger,
  rules: readonly TriggerRule[],
  drift: readonly TriggerDrift[],
): Pick<Report, 'not' | 'error'> {
  const wrong = drift.filter(({ repaired }) => !repaired)
  const shared = wrong.find(({ object }) => object !== 'rule' && object !== 'target')
  const failed = new Map(wrong.map((found) => [found.schedule ?? found.name, found]))
  const not: Record<string, NotInSync> = {}
  for (const rule of rules) {
    const objection = trigger.objection(rule)
    const found = failed.get(rule.name)
    if (objection !== undefined) not[rule.name] = { state: 'refused', error: objection }
    else if (found !== undefined) not[rule.name] = { state: 'failed', error: inWords(found) }
  }
  return shared === undefined ? { not } : { not, error: inWords(shared) }
}

function inWords({ object, name, detail, error }: TriggerDrift): string {
  return `${object.replace('_', ' ')} '${name}': ${detail}${error === undefined ? '' : `: ${error}`}`
}
