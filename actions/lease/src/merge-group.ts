/** Which merge group this is about: the `merge_group` event of the run, and the inputs in its place. */
import { readFileSync } from 'node:fs'
import { pullRequestOf, type ProviderName } from '../../../src/leases/api.ts'
import { input, invalid, shown, type Env } from '../../shared/inputs.ts'
import { refusal } from './words.ts'

export interface MergeGroup {
  readonly provider: ProviderName
  readonly sha: string
  /** `gh-readonly-queue/<base>/pr-<number>-<hex>` */
  readonly ref: string | undefined
}

/** Of the event's payload (docs.github.com, webhook events, merge_group). */
interface EventGroup {
  readonly head_sha?: unknown
  readonly head_ref?: unknown
  readonly base_ref?: unknown
}

/** @throws SignalboxError `invalid_argument`; in a run that no merge queue started, when the inputs do not say it all */
export function mergeGroup(env: Env): MergeGroup {
  const event = eventGroup(env)
  const sha = input('head_sha') ?? text(event?.head_sha)
  const baseRef = branchOf(input('base_ref') ?? text(event?.base_ref))
  if (sha === undefined || baseRef === undefined) throw noGroup(env, event !== undefined)
  if (!/^[\x21-\x7e]{1,200}$/.test(sha))
    throw invalid('head_sha', `'${shown(sha)}' is not the id of a commit`)
  return { provider: { ...repository(env), baseRef }, sha, ref: headRef(event, sha) }
}

/** The branch tells the pull request. The event's belongs to the event's commit alone. */
function headRef(event: EventGroup | undefined, sha: string): string | undefined {
  const given = branchOf(input('head_ref'))
  if (given === undefined) return event?.head_sha === sha ? branchOf(text(event.head_ref)) : undefined
  if (pullRequestOf(given) !== undefined) return given
  throw invalid(
    'head_ref',
    `'${shown(given)}' is no branch of a merge queue, such as gh-readonly-queue/main/pr-12-0123abc`,
  )
}

function repository(env: Env): Pick<ProviderName, 'owner' | 'repo'> {
  const name = input('repository') ?? env['GITHUB_REPOSITORY'] ?? ''
  const [, owner, repo] = /^([^/\s]+)\/([^/\s]+)$/.exec(name) ?? []
  if (owner !== undefined && repo !== undefined) return { owner, repo }
  throw invalid('repository', `'${shown(name)}' must be OWNER/NAME`)
}

/** Undefined: no merge queue started this run. */
function eventGroup(env: Env): EventGroup | undefined {
  const path = env['GITHUB_EVENT_PATH']
  if (env['GITHUB_EVENT_NAME'] !== 'merge_group' || !path) return undefined
  try {
    const event = JSON.parse(readFileSync(path, 'utf8')) as { readonly merge_group?: EventGroup } | null
    return event?.merge_group ?? undefined
  } catch {
    return undefined
  }
}

function noGroup(env: Env, isEvent: boolean): ReturnType<typeof refusal> {
  const name = env['GITHUB_EVENT_NAME'] ?? ''
  const what =
    name === 'merge_group'
      ? `the payload of the merge_group event ${isEvent ? 'lacks head_sha or base_ref' : 'cannot be read'}`
      : `this run was started by '${shown(name)}', not by a merge queue`
  const remedy =
    "run the step where github.event_name == 'merge_group', or give it the inputs head_sha and base_ref"
  return refusal(`${what}; ${remedy}`)
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function branchOf(ref: string | undefined): string | undefined {
  return ref?.replace(/^refs\/heads\//, '')
}
