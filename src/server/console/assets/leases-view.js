/**
 * What the console says about merge-queue leases, apart from how it is put on the page. Shapes are those of
 * `GET /api/v1/leases/{provider}` and its history (src/leases/api-views.ts). Times of the page are milliseconds.
 */
import { age, duration, plural } from './text.js'

const PHASES = {
  open: { text: 'Open', aspect: 'next' },
  held: { text: 'Held', aspect: 'go' },
  draining: { text: 'Draining', aspect: 'done' },
  failover: { text: 'Failover', aspect: 'lost' },
}

/** What a provider is doing: a word, and a colour that says the same. */
export function phase(view) {
  return isBusy(view) ? PHASES[view.phase] : { text: 'Free', aspect: 'stop' }
}

export function isBusy({ requests, phase: name }) {
  return requests.length > 0 || name !== 'open'
}

/** `acme/shop@main` → its parts; undefined for anything else. */
export function partsOf(provider) {
  const [, owner, repo, base] = /^([^/]+)\/([^/@]+)@(.+)$/s.exec(provider) ?? []
  return owner === undefined ? undefined : { owner, repo, base }
}

/** Where a pull request can be looked at. */
export function pullUrl(provider, number) {
  const parts = partsOf(provider)
  if (parts === undefined) return undefined
  return `https://github.com/${encodeURIComponent(parts.owner)}/${encodeURIComponent(parts.repo)}/pull/${number}`
}

/** A sentence, with the time left in it as of now. */
export function reasonAt({ reason, ticking }, now) {
  if (ticking === undefined) return reason
  return ticking.text.replace('{left}', age(Math.max(0, Date.parse(ticking.at) - now)))
}

/** One row of the stack: its lamp, its time and its facts. */
export function row(view, request) {
  const { state, priority, joinedAt } = request
  const { holder } = view
  const contained = state !== 'waiting' || isBelowHolder(view, request)
  const fact = `priority ${priority}`
  if (state === 'holding' || state === 'succeeded') {
    const held = state === 'holding'
    return {
      aspect: held ? 'go' : 'done',
      contained,
      verb: held ? 'held for' : 'succeeded',
      since: held ? holder.grantedAt : holder.releasedAt,
      suffix: held ? '' : ' ago',
      fact: `${fact} · fence ${holder.fence}`,
    }
  }
  const waits = isNext(view, request) ? 'next' : 'stop'
  const aspect = state === 'completed' ? 'done' : waits
  return { aspect, contained, verb: 'waiting for', since: joinedAt, suffix: '', fact }
}

/** Will it be completed when the holder succeeds? */
function isBelowHolder({ holder }, { priority }) {
  return holder !== undefined && holder.releasedAt === undefined && priority < holder.priority
}

/** Would it be granted before all others? */
function isNext({ holder, requests }, request) {
  return holder === undefined && requests[0] !== undefined && request.priority === requests[0].priority
}

/** The gate before the highest request: two measures, each with its words; undefined when there is none. */
export function gate(view, now) {
  const { gate: found, config, phase: name } = view
  if (found === undefined || name !== 'open') return undefined
  const { windowEndsAt, known, expected } = found
  const left = windowEndsAt === undefined ? 0 : Math.max(0, Date.parse(windowEndsAt) - now)
  return {
    windowText: left > 0 ? `Window: ${age(left)} left` : 'Window: passed',
    windowShare: left > 0 ? 1 - left / config.stabilizeMs : 1,
    knownText: expected > 0 ? `${known} of ${plural(expected, 'request')} known` : `${known} known`,
    known: Math.min(known, Math.max(1, expected)),
    expected: Math.max(1, expected),
  }
}

/** What became of the last holder of this batch, if it did not succeed. */
export function failedText({ failed }, now) {
  if (failed === undefined) return ''
  const what = failed.expired ? 'was taken for dead' : 'failed'
  return `${name(failed)} ${what} ${age(now - Date.parse(failed.at))} ago. Newcomers wait until this batch is settled.`
}

/** One sentence about all providers. */
export function summary(providers) {
  if (providers.length === 0) return ''
  const held = providers.filter(({ phase: name }) => name === 'held').length
  const requests = providers.flatMap((view) => view.requests)
  const waiting = requests.filter(({ state }) => state === 'waiting').length
  const queues = plural(providers.length, 'merge queue')
  return held + waiting === 0 ? `${queues}, all free` : `${queues}, ${held} held, ${waiting} waiting`
}

/** What a clear will do, line by line, before it is done. */
export function clearEffects({ holder, requests, lastFence }) {
  const waiting = requests.filter(({ state }) => state === 'waiting' || state === 'completed').length
  const lines = []
  if (holder !== undefined && holder.releasedAt === undefined) {
    lines.push(
      `${name(holder)} loses the lease at once. Its job is not stopped: it may go on using what the lease protects until its next call.`,
    )
  }
  if (waiting > 0) {
    const [they, their] = waiting === 1 ? ['It is', 'its job'] : ['They are', 'their jobs']
    lines.push(
      `${plural(waiting, 'waiting request')} will be forgotten. ${they} known anew, as a new batch, when ${their} ask again.`,
    )
  }
  if (lines.length === 0)
    lines.push('Nobody holds and nobody waits; only a failure that is remembered is forgotten.')
  lines.push(`Fences go on growing from ${lastFence}. The reason and your name go to the audit log.`)
  return lines
}

export function name({ pullRequest, sha }) {
  return pullRequest === undefined ? `commit ${sha.slice(0, 12)}` : `#${pullRequest}`
}

const OUTCOMES = {
  success: { text: 'Succeeded', aspect: 'go' },
  failure: { text: 'Failed', aspect: 'lost' },
  cleared: { text: 'Cleared', aspect: 'next' },
  none: { text: 'Never ran', aspect: 'stop' },
  now: { text: 'Under way', aspect: 'next' },
}
const ENDS = {
  success: 'succeeded',
  failure: 'failed',
  expired: 'was taken for dead',
  cleared: 'was cleared',
}
const LEFT = { withdrawn: 'withdrew', evicted: 'fell silent', cleared: 'cleared away' }

/**
 * The history as batches, newest first: what each came to, who tried in turn, and what was merged with it.
 * @param {{ requests: any[], next?: number }} history
 * @param {number | undefined} current the batch that is not over
 */
export function batches({ requests, next }, current, most = 20) {
  const groups = Map.groupBy(requests, ({ batch }) => batch)
  const numbers = [...groups.keys()].sort((a, b) => b - a)
  if (next !== undefined && numbers.length > 1) numbers.pop() // the last one may go on beyond the page
  return numbers.slice(0, most).map((number) => batch(number, groups.get(number), number === current))
}

function batch(number, requests, isCurrent) {
  const tries = requests.filter(({ fence }) => fence !== undefined).sort((a, b) => a.fence - b.fence)
  const outcome = isCurrent ? OUTCOMES.now : OUTCOMES[outcomeOf(requests, tries)]
  const merged = requests.filter(({ as }) => as === 'success' || as === 'completed')
  const ends = requests.map(({ endedAt }) => Date.parse(endedAt))
  const start = Math.min(...requests.map(({ joinedAt }) => Date.parse(joinedAt)))
  const endedAt = Math.max(...ends)
  return {
    number,
    ...outcome,
    endedAt,
    tookMs: endedAt - start,
    merged: merged.sort((a, b) => b.priority - a.priority),
    tries: tries.map((one) => ({
      ...one,
      text: `${ENDS[one.as] ?? one.as} after ${age(Date.parse(one.endedAt) - Date.parse(one.grantedAt))}`,
      aspect: one.as === 'success' ? 'go' : one.as === 'cleared' ? 'next' : 'lost',
    })),
    others: Object.entries(LEFT).flatMap(([as, verb]) => {
      const left = requests.filter((one) => one.as === as && one.fence === undefined)
      return left.length === 0 ? [] : [`${left.map(name).join(', ')} ${verb}`]
    }),
  }
}

function outcomeOf(requests, tries) {
  const has = (as) => requests.some((one) => one.as === as)
  if (has('success')) return 'success'
  if (has('cleared')) return 'cleared'
  return tries.length > 0 ? 'failure' : 'none'
}

/** The configuration, in words. */
export function facts({ config, lastFence }) {
  const { stabilizeMs, ttlMs, expectedCount, delayCount, maxLeaseMs, coolDownMs } = config
  return [
    [
      'Window',
      `${duration(stabilizeMs)} without a new request, or ${plural(expectedCount, 'known request')}`,
    ],
    ['Forgotten after', `${duration(ttlMs)} of silence`],
    ['Taken for dead after', duration(maxLeaseMs)],
    ...(coolDownMs > 0 ? [['Cool-down after that', duration(coolDownMs)]] : []),
    ...(delayCount > 0 ? [['Grant delayed by', plural(delayCount, 'call')]] : []),
    ['Last fence', String(lastFence)],
  ]
}
