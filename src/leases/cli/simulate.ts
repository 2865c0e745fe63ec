/**
 * `lease simulate`: what would have happened to the recorded requests under another configuration. Reads the history of a server,
 * or of a file that holds its JSON; changes nothing anywhere.
 */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import type { ConnectOptions } from '../../cli/context.ts'
import { invalidInput, wholeNumber } from '../../cli/inputs.ts'
import { table } from '../../cli/output.ts'
import { printable } from '../../cli/text.ts'
import { formatDuration, parseDuration } from '../../kernel/duration.ts'
import { SignalboxError } from '../../kernel/error.ts'
import {
  leaseHistoryView,
  providerLabel,
  type LeaseHistoryView,
  type LeasesReading,
  type ProviderConfig,
  type ProviderName,
} from '../api.ts'
import {
  recordedFrom,
  simulate,
  type Fate,
  type Recorded,
  type SimulatedRequest,
  type Simulation,
  type Totals,
} from '../simulate.ts'
import { shortSha } from './views.ts'

export interface SimulateFlags extends Pick<ConnectOptions, 'url' | 'dataDir'> {
  readonly from?: string
  readonly since?: string
  readonly stabilize?: string
  readonly expected?: string
  readonly ttl?: string
  readonly delay?: string
  readonly maxLease?: string
  readonly coolDown?: string
  readonly poll?: string
  readonly json?: true
}

/** Checked flags. */
export interface SimulationRequest {
  readonly provider: ProviderName
  readonly from: string | undefined
  readonly sinceMs: number | undefined
  readonly changes: Partial<ProviderConfig>
  readonly pollMs: number | undefined
  readonly json: boolean
}

type History = NonNullable<LeasesReading['history']>

const PAGE = 1_000
/** Requests told of one by one. */
const SHOWN = 20

/** @throws SignalboxError `invalid_argument` */
export function simulationRequest(provider: ProviderName, flags: SimulateFlags): SimulationRequest {
  const time = (
    name: 'stabilize' | 'ttl' | 'maxLease' | 'coolDown' | 'poll' | 'since',
    flag: string,
  ): number | undefined =>
    // prettier-ignore
    flags[name] === undefined ? undefined : parseDuration(flags[name], flag)
  const number = (name: 'expected' | 'delay', flag: string): number | undefined =>
    flags[name] === undefined ? undefined : wholeNumber(flags[name], { flag, min: 0, max: 100_000 })
  const wanted = {
    stabilizeMs: time('stabilize', '--stabilize'),
    ttlMs: positive(time('ttl', '--ttl'), '--ttl'),
    expectedCount: number('expected', '--expected'),
    delayCount: number('delay', '--delay'),
    maxLeaseMs: positive(time('maxLease', '--max-lease'), '--max-lease'),
    coolDownMs: time('coolDown', '--cool-down'),
  }
  const changes = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined))
  return {
    provider,
    from: flags.from,
    sinceMs: time('since', '--since'),
    changes,
    pollMs: positive(time('poll', '--poll'), '--poll'),
    json: flags.json === true,
  }
}

function positive(ms: number | undefined, flag: string): number | undefined {
  if (ms === undefined || ms >= 1_000) return ms
  throw invalidInput(flag, `${flag}: must be at least 1s`)
}

/** The history of a server, as far back as is asked for. */
export async function historyOf(
  history: History | undefined,
  { provider, sinceMs }: SimulationRequest,
  now: number,
): Promise<Recorded[]> {
  if (history === undefined) {
    throw new SignalboxError('not_found', 'this server keeps no history of leases; give one with --from')
  }
  const pages: LeaseHistoryView[] = []
  for (let before: number | undefined; ;) {
    const page = await history(provider, { limit: PAGE, ...(before === undefined ? {} : { before }) })
    pages.push(page)
    before = page.next
    const oldest = page.requests.at(-1)
    const enough =
      oldest === undefined || (sinceMs !== undefined && Date.parse(oldest.joinedAt) < now - sinceMs)
    if (before === undefined || enough) break
  }
  return newest(recordedFrom(pages), sinceMs, now)
}

/** @throws SignalboxError `invalid_argument` */
export async function historyIn(file: string, sinceMs: number | undefined, now: number): Promise<Recorded[]> {
  let json: unknown
  try {
    json = JSON.parse(await readFile(file, 'utf8'))
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.replaceAll(/\s+/g, ' ') : String(cause)
    throw new SignalboxError('invalid_argument', `--from: '${file}' cannot be read: ${why}`, { cause })
  }
  const pages = z
    .union([leaseHistoryView.transform((page) => [page]), z.array(leaseHistoryView)])
    .safeParse(json)
  if (pages.success) return newest(recordedFrom(pages.data), sinceMs, now)
  throw invalidInput(
    '--from',
    `--from: '${file}' is not a history; save the answer of GET /api/v1/leases/{provider}/history, or a list of its pages`,
  )
}

function newest(requests: readonly Recorded[], sinceMs: number | undefined, now: number): Recorded[] {
  return requests.filter(({ joinedAt }) => sinceMs === undefined || joinedAt >= now - sinceMs)
}

/** What is printed. @throws SignalboxError `not_found` when nothing is recorded */
export function simulated(
  requests: readonly Recorded[],
  { provider, changes, pollMs, json }: SimulationRequest,
): string {
  const last = requests.at(-1)
  if (last === undefined) {
    throw new SignalboxError(
      'not_found',
      `no request of ${providerLabel(provider)} has ended in that time; there is nothing to simulate`,
    )
  }
  const config: ProviderConfig = { ...last.config, ...changes }
  const result = simulate({ requests, config, pollMs })
  if (json)
    return `${JSON.stringify({ provider: providerLabel(provider), before: last.config, ...result })}\n`
  return text(provider, last.config, result)
}

function text(provider: ProviderName, before: ProviderConfig, result: Simulation): string {
  const { recorded, simulated: now, requests, config, assumptions } = result
  const moved = requests.filter((one) => differs(one, result.pollMs))
  const shown = moved.toSorted((a, b) => change(b) - change(a)).slice(0, SHOWN)
  const named = shown.toSorted((a, b) => a.seq - b.seq).map(row)
  const fates = [['PR', 'COMMIT', 'PRIORITY', 'RECORDED', 'SIMULATED'], ...named]
  const more =
    moved.length > shown.length ? `… and ${moved.length - shown.length} more; --json has all\n` : ''
  return [
    `${printable(providerLabel(provider))}: ${requests.length} recorded requests, played again with ${settings(before, config)}\n`,
    '\n',
    table([['', 'RECORDED', 'SIMULATED'], ...totalRows(recorded, now)]),
    '\n',
    moved.length === 0 ? 'Nothing else would have become of any request.\n' : table(fates) + more,
    '\nAssumed:\n',
    ...assumptions.map((line) => `- ${line}\n`),
  ].join('')
}

const NAMES: Readonly<Record<keyof ProviderConfig, string>> = {
  stabilizeMs: 'window',
  expectedCount: 'expected',
  ttlMs: 'ttl',
  delayCount: 'delay',
  maxLeaseMs: 'max lease',
  coolDownMs: 'cool-down',
}

function settings(before: ProviderConfig, after: ProviderConfig): string {
  const changed = (Object.keys(NAMES) as (keyof ProviderConfig)[]).filter((key) => before[key] !== after[key])
  if (changed.length === 0) return 'the same configuration'
  const value = (key: keyof ProviderConfig, of: ProviderConfig): string =>
    key.endsWith('Ms') ? formatDuration(of[key]) : String(of[key])
  return changed.map((key) => `${NAMES[key]} ${value(key, after)} (was ${value(key, before)})`).join(', ')
}

function totalRows(recorded: Totals, now: Totals): string[][] {
  const rows: [string, (of: Totals) => string][] = [
    ['holds of the lease', ({ holds }) => String(holds)],
    ['time held', ({ heldMs }) => formatDuration(heldMs)],
    ['batches', ({ batches }) => String(batches)],
    ['succeeded', ({ succeeded }) => String(succeeded)],
    ['completed with them', ({ completed }) => String(completed)],
    ['failed', ({ failed }) => String(failed)],
    ['forgotten for silence', ({ evicted }) => String(evicted)],
    ['median wait', ({ medianWaitMs }) => formatDuration(medianWaitMs)],
    ['wait of 9 in 10, at most', ({ p90WaitMs }) => formatDuration(p90WaitMs)],
  ]
  return rows.map(([name, of]) => [name, of(recorded), of(now)])
}

/** A difference of two calls is none. */
function differs(one: SimulatedRequest, pollMs: number): boolean {
  return one.recorded.as !== one.simulated.as || change(one) > 2 * pollMs
}

function change({ recorded, simulated: now }: SimulatedRequest): number {
  return Math.abs(recorded.waitedMs - now.waitedMs)
}

function row({ pullRequest, sha, priority, recorded, simulated: now }: SimulatedRequest): string[] {
  const pull = pullRequest === undefined ? '-' : `#${pullRequest}`
  return [pull, shortSha(sha), String(priority), fate(recorded), fate(now)]
}

function fate({ as, waitedMs, heldMs }: Fate): string {
  const held = heldMs === undefined ? '' : `, held ${formatDuration(heldMs)}`
  return `${as} after ${formatDuration(waitedMs)}${held}`
}
