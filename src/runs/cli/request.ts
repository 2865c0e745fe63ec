/** What the flags of `runs` and `job` ask for. Everything here throws `invalid_argument` with one line, or returns. */
import { invalidInput } from '../../cli/inputs.ts'
import { parseDuration } from '../../kernel/duration.ts'
import type { Json } from '../../ports/store.ts'
import { jobName, runId, runStates, type RunFilter, type RunState } from '../api.ts'

export interface ListFlags {
  readonly state?: string
  readonly job?: string
  readonly schedule?: string
  readonly since?: string
  readonly text?: string
  readonly limit?: string
}

export function filterOf(flags: ListFlags, now: number): RunFilter {
  const { state, job, schedule, since, text } = flags
  return {
    ...(state === undefined ? {} : { states: state.split(',').map(stateOf) }),
    ...(job === undefined ? {} : { job: jobArgument(job) }),
    ...(schedule === undefined ? {} : { schedule }),
    ...(since === undefined ? {} : { from: now - parseDuration(since, '--since') }),
    ...(text === undefined ? {} : { text }),
  }
}

function stateOf(text: string): RunState {
  const wanted = text.trim().replaceAll('-', '_')
  const found = runStates.find((state) => state === wanted)
  if (found !== undefined) return found
  throw invalidInput('--state', `--state: '${text.slice(0, 40)}' is not one of ${runStates.join(', ')}`)
}

export function runArgument(text: string): string {
  if (runId.safeParse(text).success) return text
  throw invalidInput(
    'run',
    `'${text.slice(0, 120)}' is not the id of a run, <job>:<id>; 'signalbox runs list' shows them`,
  )
}

export function jobArgument(text: string): string {
  if (jobName.safeParse(text).success) return text
  throw invalidInput(
    'job',
    `'${text.slice(0, 80)}' is not the name of a job; 'signalbox job list' shows them`,
  )
}

export function inputOf(text: string | undefined): { readonly input?: Json } {
  if (text === undefined) return {}
  try {
    return { input: JSON.parse(text) as Json }
  } catch {
    throw invalidInput(
      '--input',
      `--input: '${text.slice(0, 40)}' is not JSON; write for example '{"to":"ann"}'`,
    )
  }
}

const MAX_REASON = 500

export function reasonOf(text: string | undefined): string | undefined {
  const reason = text?.trim()
  if (reason === undefined || (reason !== '' && reason.length <= MAX_REASON)) return reason
  throw invalidInput(
    '--reason',
    `--reason: empty or longer than ${MAX_REASON} characters; say why in a few words`,
  )
}
