/** What the turn action alone says in the job's log. */
import { endGroup, startGroup } from '@actions/core'
import { readFileSync } from 'node:fs'
import { formatDuration } from '../../../src/kernel/duration.ts'
import type { AgentState } from '../../../src/turns/agent/state.ts'
import { say, summarise } from '../../shared/log.ts'

const TAIL_LINES = 50

/** What the agent wrote, folded. It is gone when the agent ended as planned. */
export function sayLogOf({ log, queue }: Pick<AgentState, 'log' | 'queue'>): void {
  const text = read(log).trim()
  if (text === '') return
  startGroup(`Log of the agent for ${queue}`)
  say(text.split('\n').slice(-TAIL_LINES).join('\n'))
  endGroup()
}

/** The turn, in the job's log and on the page of the run. */
export async function announce({
  queue,
  fence = 0,
  waitedMs = 0,
  positionAtJoin = 0,
}: AgentState): Promise<void> {
  const waited = formatDuration(waitedMs)
  say(`${queue}: your turn (fence ${fence}, waited ${waited})`)
  const line =
    waitedMs < 1_000 ? 'the turn was free' : `waited ${waited} from position ${positionAtJoin} of the line`
  const cost = 'Waiting in a job spends runner minutes.'
  await summarise(`Turn queue \`${queue}\`: ${line}, fence ${fence}. ${cost}`)
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
