/**
 * What the action says in the job's log.
 *
 * Invariant: text from elsewhere (labels of other members, reasons, a server's message) is never read as a command by the
 * runner, which takes `::name::` at the start of a line and `##[name]` anywhere in it
 * (github.com/actions/runner, src/Runner.Common/ActionCommand.cs).
 */
import { debug, endGroup, info, startGroup, summary } from '@actions/core'
import { readFileSync } from 'node:fs'
import { formatDuration } from '../../../src/kernel/duration.ts'
import type { AgentState } from '../../../src/turns/agent/state.ts'
import type { Output } from '../../../src/cli/context.ts'
import type { LogLevel } from './inputs.ts'

const TAIL_LINES = 50

/** One line, or several, that the runner only prints. */
export function say(text: string): void {
  info(harmless(text))
}

/** A fold of the log for what is said while waiting; without any of it there is none. A quiet log keeps it for debugging. */
export function progressFold(title: string, level: LogLevel): { readonly output: Output; close(): void } {
  const quiet = level === 'warn' || level === 'error'
  let open = false
  const write = (text: string): void => {
    if (quiet) {
      debug(harmless(text.trimEnd()))
      return
    }
    if (!open) startGroup(title)
    open = true
    say(text.trimEnd())
  }
  return { output: { write }, close: () => (open ? endGroup() : undefined) }
}

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
  if (!process.env['GITHUB_STEP_SUMMARY']) return
  const line =
    waitedMs < 1_000 ? 'the turn was free' : `waited ${waited} from position ${positionAtJoin} of the line`
  const cost = 'Waiting in a job spends runner minutes.'
  await summary.addRaw(`Turn queue \`${queue}\`: ${line}, fence ${fence}. ${cost}`, true).write()
}

function harmless(text: string): string {
  return text.replaceAll('##[', '# #[').replaceAll(/^(\s*)::/gm, '$1: :')
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
