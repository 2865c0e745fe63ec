/** Does the dynamo-q tool use this queue too, and are its jobs reckoned with? */
import { SignalboxError } from '../../../kernel/error.ts'
import type { StoredRecord } from '../../../ports/store.ts'
import { asGuard } from '../../guard/record.ts'
import { fail, ok, outcomeOf, skip, warn, type Check } from './check.ts'
import type { EngineExam } from './engine.ts'

/** That tool takes an entry for dead after 120 s; clocks may differ by a minute. */
const FRESH_MS = 180_000
const PAGE = 1_000

export async function guardCheck(exam: Pick<EngineExam, 'store' | 'queue' | 'guard'>): Promise<Check> {
  const { store, queue, guard } = exam
  const state = guard ? 'on' : 'off'
  if (queue === undefined) {
    return skip(
      'guard',
      `not looked at: name a queue with --queue to look for jobs of the dynamo-q tool (guard ${state})`,
    )
  }
  const listed = await outcomeOf(() => store.list({ partition: queue }, { limit: PAGE }))
  if ('error' in listed) return fail('guard', listed.error)
  const entries = listed.value.records.filter(({ value }) => asGuard(value) === undefined)
  const living = entries.filter((entry) => isFresh(entry, store.now().ms)).length
  const found = `queue '${queue}' has ${entries.length} ${entries.length === 1 ? 'entry' : 'entries'} of the dynamo-q tool, ${living} alive`
  if (entries.length === 0) {
    const saving = guard ? '; once no job uses it any more, --guard off saves 5s on an idle queue' : ''
    return ok('guard', `${state}; queue '${queue}' has no entry of the dynamo-q tool${saving}`)
  }
  if (guard) return ok('guard', `on; ${found}: turns here wait for its jobs and hold them back`)
  const remedy = 'use --guard on, or both may work at once'
  return living > 0
    ? fail('guard', new SignalboxError('conflict', `off; ${found}: ${remedy}`))
    : warn('guard', `off; ${found}: if jobs still use that tool, ${remedy}`)
}

function isFresh({ value }: StoredRecord, now: number): boolean {
  if (typeof value !== 'object' || value === null || !('lastUpdated' in value)) return false
  return Number(value.lastUpdated) * 1_000 > now - FRESH_MS
}
