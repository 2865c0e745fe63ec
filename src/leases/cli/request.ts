/**
 * What the commands under `lease` were asked for, checked: arguments, flags and a workflow's environment in, a request out,
 * no call made.
 *
 * In a run that GitHub started for a merge group, the branch of that group says which commit, repository and base are
 * meant. What is written goes before it.
 */
import type { ConnectOptions } from '../../cli/context.ts'
import { invalidInput, onLostChoice, wholeNumber } from '../../cli/inputs.ts'
import type { ReportMode } from '../../cli/lines.ts'
import { parseDuration } from '../../kernel/duration.ts'
import { isSignalboxError, SignalboxError } from '../../kernel/error.ts'
import { parseProviderLabel, pullRequestOf, type ProviderName } from '../api.ts'
import { DEFAULT_STOP_GRACE_MS, type LeaseOutcome, type WantedLease } from '../session.ts'
import { leaseTiming } from '../session/deadline.ts'

type Env = Readonly<Record<string, string | undefined>>

/** As commander gives them. */
export interface GroupFlags extends Pick<ConnectOptions, 'url' | 'dataDir'> {
  readonly headSha?: string
  readonly headRef?: string
  readonly priority?: string
  readonly json?: true
}

export interface AcquireFlags extends GroupFlags {
  readonly lease?: string
  readonly waitTimeout?: string
  readonly quiet?: true
  /** `--no-wait` */
  readonly wait?: boolean
}

export interface RunFlags extends AcquireFlags {
  readonly stopGrace?: string
  readonly onLost?: string
}

export interface ReleaseFlags extends GroupFlags {
  readonly status?: string
}

export interface GroupRequest {
  readonly provider: ProviderName
  readonly request: WantedLease
}

export interface AcquireRequest extends GroupRequest {
  readonly waitTimeoutMs: number | undefined
  readonly report: ReportMode
}

export interface RunRequest extends AcquireRequest {
  readonly command: string
  readonly args: readonly string[]
  readonly stopGraceMs: number
  readonly onLost: 'kill' | 'warn'
}

const OUTCOMES: readonly LeaseOutcome[] = ['success', 'failure', 'cancelled', 'timed_out', 'skipped']
const MAX_PRIORITY = 999_999_999
const MAX_TEXT = 500
const EXAMPLE = 'write OWNER/REPO@BASE, for example acme/shop@main'

/** @throws SignalboxError `invalid_argument` that names the input and what to write */
export function runRequest(words: readonly string[], flags: RunFlags, env: Env): RunRequest {
  const [first = ''] = words
  const named = parseProviderLabel(first) !== undefined || workflowProvider(env) === undefined
  const [command, ...args] = named ? words.slice(1) : words
  const stopGraceMs =
    flags.stopGrace === undefined ? DEFAULT_STOP_GRACE_MS : parseDuration(flags.stopGrace, '--stop-grace')
  const asked = acquireRequest(named ? first : undefined, flags, env, stopGraceMs)
  if (command === undefined || command === '') {
    throw invalidInput(
      'command',
      'command: missing; write it after --, for example: signalbox lease run acme/shop@main --head-sha 3f2a91c --priority 3 -- make test',
    )
  }
  return { ...asked, command, args, stopGraceMs, onLost: onLostChoice(flags.onLost ?? 'kill') }
}

/**
 * @param stopGraceMs what a lease must leave room for
 * @throws SignalboxError `invalid_argument` that names the input and what to write
 */
export function acquireRequest(
  provider: string | undefined,
  flags: AcquireFlags,
  env: Env,
  stopGraceMs: number,
): AcquireRequest {
  const group = groupRequest(provider, flags, env)
  const leaseMs = flags.lease === undefined ? undefined : leaseLength(flags.lease, stopGraceMs)
  return {
    provider: group.provider,
    request: { ...group.request, ...(leaseMs === undefined ? {} : { leaseMs }) },
    waitTimeoutMs:
      flags.waitTimeout === undefined ? undefined : parseDuration(flags.waitTimeout, '--wait-timeout'),
    report: flags.json === true ? 'json' : flags.quiet === true ? 'quiet' : 'lines',
  }
}

/** @throws SignalboxError `invalid_argument` that names the input and what to write */
export function groupRequest(provider: string | undefined, flags: GroupFlags, env: Env): GroupRequest {
  const ref = flags.headRef === undefined ? workflowRef(env) : headRef(flags.headRef)
  return {
    provider: providerArgument(provider, env),
    request: {
      sha: headSha(flags.headSha ?? (workflowRef(env) === undefined ? undefined : env['GITHUB_SHA'])),
      ...(ref === undefined ? {} : { ref }),
      priority: priority(flags.priority),
    },
  }
}

/** @throws SignalboxError `invalid_argument` */
export function providerArgument(text: string | undefined, env: Env): ProviderName {
  if (text === undefined || text === '') {
    const own = workflowProvider(env)
    if (own !== undefined) return own
    throw invalidInput('provider', `provider: missing; ${EXAMPLE}`)
  }
  const name = parseProviderLabel(text)
  if (name !== undefined && text.length <= MAX_TEXT && !/\s/.test(text)) {
    return { ...name, baseRef: withoutHeads(name.baseRef) }
  }
  throw invalidInput(
    'provider',
    `provider: '${text.slice(0, 60)}' is not the name of a lease provider; ${EXAMPLE}`,
  )
}

/** @throws SignalboxError `invalid_argument` */
export function outcomeFlag(text: string | undefined): LeaseOutcome {
  const outcome = OUTCOMES.find((known) => known === text)
  if (outcome !== undefined) return outcome
  const given = text === undefined ? 'missing; it' : `'${text.slice(0, 40)}'`
  throw invalidInput(
    '--status',
    `--status: ${given} must be ${OUTCOMES.slice(0, -1).join(', ')} or ${OUTCOMES.at(-1)}`,
  )
}

function headSha(text: string | undefined): string {
  if (text === undefined || text === '') {
    throw invalidInput('--head-sha', '--head-sha: missing; give the commit at the head of the merge group')
  }
  if (/^[\x21-\x7e]+$/.test(text) && text.length <= MAX_TEXT) return text
  throw invalidInput('--head-sha', `--head-sha: '${text.slice(0, 40)}' is not a commit`)
}

function headRef(text: string): string {
  const ref = withoutHeads(text)
  if (ref.length <= MAX_TEXT && pullRequestOf(ref) !== undefined) return ref
  throw invalidInput(
    '--head-ref',
    `--head-ref: '${text.slice(0, 60)}' is not a branch of a merge queue; it looks like gh-readonly-queue/main/pr-12-3f2a91c`,
  )
}

function priority(text: string | undefined): number {
  if (text === undefined) {
    throw invalidInput(
      '--priority',
      '--priority: missing; give the number of commits that the group is ahead of its base, for example from git rev-list --count main..HEAD',
    )
  }
  return wholeNumber(text, { flag: '--priority', min: 1, max: MAX_PRIORITY })
}

function leaseLength(text: string, stopGraceMs: number): number {
  const leaseMs = parseDuration(text, '--lease')
  try {
    leaseTiming(leaseMs, stopGraceMs)
    return leaseMs
  } catch (error) {
    if (!isSignalboxError(error)) throw error
    const { code, message, details } = error
    throw new SignalboxError(code, message.replace(/^lease:/, '--lease:'), { cause: error, details })
  }
}

/** The branch of the merge group that this workflow run is for. */
function workflowRef({ GITHUB_ACTIONS: actions, GITHUB_REF: ref }: Env): string | undefined {
  if (actions !== 'true' || ref === undefined) return undefined
  const name = withoutHeads(ref)
  return pullRequestOf(name) === undefined ? undefined : name
}

function workflowProvider(env: Env): ProviderName | undefined {
  const ref = workflowRef(env)
  const { GITHUB_REPOSITORY: repository } = env
  if (ref === undefined || repository === undefined) return undefined
  const baseRef = ref.slice('gh-readonly-queue/'.length, ref.lastIndexOf('/pr-'))
  return parseProviderLabel(`${repository}@${baseRef}`)
}

function withoutHeads(ref: string): string {
  return ref.replace(/^refs\/heads\//, '')
}
