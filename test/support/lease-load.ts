/**
 * Clients of a merge-queue lease as its users run them, many in this process: each builds group after group, acquires, polls,
 * holds, and releases. They write down what they were told; `judgeLeases` reads that, and knows nothing of the server.
 *
 * A client repeats a call that was not answered (or with 503), as every client of the wire does; what else it was told that it
 * cannot use is a complaint.
 */
import { setTimeout as pause } from 'node:timers/promises'

export interface LeaseEvent {
  readonly kind: 'joined' | 'acquired' | 'releasing' | 'completed'
  readonly sha: string
  readonly priority: number
  /** Milliseconds of this process's monotonic clock: when a call was sent, or an answer had arrived. */
  readonly at: number
  readonly fence?: number
  readonly success?: boolean
}

export interface LeaseCall {
  readonly provider: string
  readonly verb: 'acquire' | 'release'
  readonly body: Readonly<Record<string, unknown>>
}

/** What became of a call: an answer, or why there was none. */
export type CallOutcome =
  | { readonly status: number; readonly contentType: string; readonly text: string }
  | { readonly failure: string }

export interface LeaseLoadOptions {
  readonly provider: string
  readonly clients: number
  readonly send: (call: LeaseCall) => Promise<CallOutcome>
  /** Clients start no further group once it aborts. */
  readonly signal: AbortSignal
  readonly pollMs: number
  readonly random: () => number
}

export interface LeaseLoad {
  readonly events: readonly LeaseEvent[]
  readonly complaints: readonly string[]
  /** Calls that had no answer, by reason. */
  readonly failures: ReadonlyMap<string, number>
  /** Calls that were answered with 503. */
  readonly refusals: () => number
  /** Resolves when all have finished their last group. */
  readonly done: Promise<void>
}

export function startLeaseLoad(options: LeaseLoadOptions): LeaseLoad {
  const { provider, clients, send, signal, pollMs, random } = options
  const events: LeaseEvent[] = []
  const complaints: string[] = []
  const failures = new Map<string, number>()
  let refused = 0

  const note = (event: Omit<LeaseEvent, 'at'>): void => void events.push({ ...event, at: performance.now() })
  const soon = (): Promise<void> => pause(pollMs * (0.5 + random()))

  /** The answer of a call, repeated until there is one. */
  const call = async (
    verb: LeaseCall['verb'],
    body: LeaseCall['body'],
  ): Promise<{ readonly status: number; readonly json: Record<string, unknown> }> => {
    for (;;) {
      const outcome = await send({ provider, verb, body })
      if ('failure' in outcome) {
        failures.set(outcome.failure, (failures.get(outcome.failure) ?? 0) + 1)
      } else {
        const { status, contentType, text } = outcome
        const json = parsed(text)
        if (json === undefined || !contentType.startsWith('application/json'))
          complaints.push(`${verb} was answered ${status} with ${contentType}: ${text.slice(0, 100)}`)
        else if (status !== 503) return { status, json }
        else refused++
      }
      await soon()
    }
  }

  const group = async (sha: string, number: number): Promise<void> => {
    const priority = 1 + Math.floor(random() * 50)
    const request = { head_sha: sha, head_ref: `gh-readonly-queue/main/pr-${number}-${sha}`, priority }
    note({ kind: 'joined', sha, priority })
    for (;;) {
      const { status, json } = await call('acquire', request)
      if (status === 200 && json['status'] === 'acquired') {
        const fence = Number(json['fence'])
        note({ kind: 'acquired', sha, priority, fence })
        await soon()
        const success = random() < 0.7
        note({ kind: 'releasing', sha, priority, fence, success })
        const released = await call('release', { ...request, status: success ? 'success' : 'failure' })
        if (released.status !== 200)
          complaints.push(`release of ${sha}: ${released.status} ${JSON.stringify(released.json)}`)
        return
      }
      if (status === 200 && json['status'] === 'completed') {
        note({ kind: 'completed', sha, priority })
        return
      }
      const waits = status === 409 || (status === 200 && json['status'] === 'pending')
      if (!waits) complaints.push(`acquire of ${sha}: ${status} ${JSON.stringify(json)}`)
      await soon()
    }
  }

  const client = async (index: number): Promise<void> => {
    for (let round = 0; !signal.aborted; round++) {
      await group(`${index.toString(16).padStart(4, '0')}${round.toString(16).padStart(4, '0')}`, index)
      await soon()
    }
  }
  const done = Promise.all(Array.from({ length: clients }, (_, index) => client(index))).then(() => {})
  return { events, complaints, failures, refusals: () => refused, done }
}

export interface LeaseVerdict {
  readonly grants: number
  readonly completions: number
  readonly complaints: readonly string[]
}

/** What was wrong with a history of one provider; the last holder may hold still. */
export function judgeLeases(events: readonly LeaseEvent[]): LeaseVerdict {
  const complaints: string[] = []
  const inTime = [...events].sort((a, b) => a.at - b.at)
  let holder: LeaseEvent | undefined
  let fence = 0
  let grants = 0
  let completions = 0
  const joined = new Map<string, LeaseEvent>()
  const successes: LeaseEvent[] = []
  for (const event of inTime) {
    const { kind, sha } = event
    if (kind === 'joined') joined.set(sha, event)
    if (kind === 'acquired') {
      grants++
      if (holder !== undefined) complaints.push(`${sha} was granted while ${holder.sha} held`)
      if ((event.fence ?? 0) <= fence) complaints.push(`fence ${event.fence} came after ${fence}`)
      fence = Math.max(fence, event.fence ?? 0)
      holder = event
    }
    if (kind === 'releasing') {
      holder = undefined
      if (event.success === true) successes.push(event)
    }
    if (kind === 'completed') {
      completions++
      const since = joined.get(sha)?.at ?? 0
      const contains = successes.some(({ at, priority }) => at >= since && priority > event.priority)
      if (!contains) complaints.push(`${sha} was completed, and no success since it joined contains it`)
    }
  }
  return { grants, completions, complaints }
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
