/** What `lease list`, `lease show`, `lease acquire` and `lease release` print. */
import { table } from '../../cli/output.ts'
import { printable } from '../../cli/text.ts'
import { formatDuration } from '../../kernel/duration.ts'
import {
  providerLabel,
  type LeaseAnswer,
  type ProviderConfig,
  type ProviderName,
  type ProviderReport,
  type Refusal,
  type RequestReport,
} from '../api.ts'

/** Enough of a commit to tell it from others, as git shows it. */
export function shortSha(sha: string): string {
  return /^[0-9a-f]{40,}$/.test(sha) ? sha.slice(0, 8) : printable(sha)
}

/** One line a provider, by name. */
export function listText(providers: readonly ProviderReport[]): string {
  if (providers.length === 0) return 'No lease providers.\n'
  const rows = providers
    .toSorted((a, b) => (providerLabel(a.name) < providerLabel(b.name) ? -1 : 1))
    .map(({ name, phase, holder, known, reason }) => [
      printable(providerLabel(name)),
      phase ?? phaseOf(holder),
      holder === undefined ? '-' : shortSha(holder.sha),
      String(waitingOf(known).length),
      printable(reason ?? ''),
    ])
  return table([['PROVIDER', 'PHASE', 'HOLDER', 'WAITING', 'WHY'], ...rows])
}

/** One provider: its state and why in two lines, then its requests, the highest first. */
export function showText(provider: ProviderReport, now: number): string {
  const { name, phase, holder, lastFence, config, known, reason } = provider
  const facts = [
    phase ?? phaseOf(holder),
    ...(lastFence === undefined ? [] : [`last fence ${lastFence}`]),
    ...configFacts(config),
  ]
  const head = `${printable(providerLabel(name))}: ${facts.join(', ')}\n`
  const why = reason === undefined ? '' : `${printable(reason)}\n`
  if (known.length === 0) return `${head}${why}`
  const since = (at: number | undefined): string =>
    at === undefined ? '-' : formatDuration(Math.max(0, now - at))
  const rows = known
    .toReversed()
    .map((request) => [
      stateOf(request),
      request.pullRequest === undefined ? '-' : `#${request.pullRequest}`,
      shortSha(request.sha),
      String(request.priority),
      since(request.joinedAt),
      since(request.seenAt),
      request.sha === holder?.sha ? holding(provider, now) : '',
    ])
  return head + why + table([['STATE', 'PR', 'COMMIT', 'PRIORITY', 'KNOWN FOR', 'SEEN AGO', ''], ...rows])
}

/** For programs: the same facts, times in ISO 8601. */
export function providerJson({ name, updatedAt, holder, known, ...rest }: ProviderReport): object {
  return {
    provider: providerLabel(name),
    ...rest,
    updatedAt: iso(updatedAt),
    holder:
      holder === undefined
        ? null
        : { ...requestJson(holder), grantedAt: iso(holder.grantedAt), expiresAt: iso(holder.expiresAt) },
    known: known.map(requestJson),
  }
}

/** A whole answer, for programs. */
export function answerJson(provider: ProviderName, answer: LeaseAnswer | Refusal): string {
  const label = providerLabel(provider)
  if (answer.kind === 'refused') {
    const { kind, reason, retryAfterMs } = answer
    return `${JSON.stringify({ provider: label, status: kind, reason, retryAfterMs })}\n`
  }
  const { kind: _, expiresAt, ...facts } = answer
  return `${JSON.stringify({ provider: label, ...facts, expiresAt: iso(expiresAt) })}\n`
}

function requestJson({ joinedAt, seenAt, ...request }: RequestReport): object {
  return { ...request, joinedAt: iso(joinedAt), seenAt: iso(seenAt) }
}

function holding({ holder, stacked }: ProviderReport, now: number): string {
  if (holder === undefined) return ''
  const { fence, expiresAt, status } = holder
  return [
    ...(fence === undefined ? [] : [`fence ${fence}`]),
    ...(stacked.length > 1 ? [`contains ${stacked.map((number) => `#${number}`).join(' ')}`] : []),
    ...(expiresAt === undefined || status === 'completed'
      ? []
      : [`expires in ${formatDuration(Math.max(0, expiresAt - now))}`]),
  ].join(', ')
}

function stateOf({ status }: RequestReport): string {
  return { pending: 'waiting', acquired: 'holding', completed: 'succeeded' }[status]
}

/** As far as an answer of the original service tells. */
function phaseOf(holder: ProviderReport['holder']): string {
  if (holder === undefined) return 'open'
  return holder.status === 'completed' ? 'draining' : 'held'
}

function waitingOf(known: readonly RequestReport[]): readonly RequestReport[] {
  return known.filter(({ status }) => status === 'pending')
}

function configFacts({ stabilizeMs, ttlMs, expectedCount, delayCount }: Partial<ProviderConfig>): string[] {
  return [
    ...(stabilizeMs === undefined ? [] : [`window ${formatDuration(stabilizeMs)}`]),
    ...(expectedCount === undefined ? [] : [`or ${expectedCount} requests`]),
    ...(ttlMs === undefined ? [] : [`ttl ${formatDuration(ttlMs)}`]),
    ...(delayCount === undefined || delayCount === 0 ? [] : [`delayed by ${delayCount} polls`]),
  ]
}

function iso(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString()
}
