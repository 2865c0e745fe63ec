/** What became of the waiting: for later steps, in the job's log and on the page of the run. */
import { setOutput } from '@actions/core'
import { formatDuration } from '../../../src/kernel/duration.ts'
import { providerLabel } from '../../../src/leases/api.ts'
import type { OpenedLease } from '../../../src/leases/session.ts'
import { say, summarise } from '../../shared/log.ts'
import type { MergeGroup } from './merge-group.ts'
import type { Priority } from './priority.ts'

export interface Ended {
  readonly opened: OpenedLease
  readonly waitedMs: number
  /** The last thing that was waited for. */
  readonly reason: string | undefined
}

const COST = 'Waiting in a job spends runner minutes.'

export async function announce(
  { opened, waitedMs, reason }: Ended,
  { group, priority }: { readonly group: MergeGroup; readonly priority: Priority },
): Promise<void> {
  const lease = opened.status === 'acquired' ? opened.lease : undefined
  const { fence, stacked = [] } = lease ?? {}
  outputs(opened.status, stacked)
  setOutput('fence', fence ?? '')
  setOutput('priority', priority.current)
  setOutput('waited_seconds', Math.round(waitedMs / 1_000))
  const name = providerLabel(group.provider)
  const facts = [
    `priority ${priority.current}`,
    ...(fence === undefined ? [] : [`fence ${fence}`]),
    ...(waitedMs < 1_000 ? [] : [`waited ${formatDuration(waitedMs)}`]),
  ].join(', ')
  const what =
    lease === undefined
      ? 'completed: a group that contains this one has passed, so there is nothing to do'
      : `acquired${pullRequests(stacked)}`
  say(`${name}: ${what} (${facts})`)
  const waitedFor =
    reason === undefined ? '' : ` Last it waited for this: \`${reason.replaceAll('`', "'")}\`.`
  await summarise(`Lease on \`${name}\`: ${what}; ${facts}.${waitedFor} ${COST}`)
}

/** What users of both generations read. */
export function outputs(status: string, stacked: readonly number[]): void {
  setOutput('result', status)
  setOutput('status', status)
  setOutput('stacked_pull_requests', JSON.stringify(stacked.map((number) => ({ number }))))
}

function pullRequests(stacked: readonly number[]): string {
  return stacked.length === 0 ? '' : ` for ${stacked.map((number) => `#${number}`).join(', ')}`
}
