/**
 * A `LeasesApi` for tests that does what it is told, call by call, and keeps a list of what it was asked. Nothing is
 * sent anywhere; delays are the manual clock's.
 */
import type { Clock } from '../../kernel/clock.ts'
import { SignalboxError, type ErrorCode } from '../../kernel/error.ts'
import type {
  AcquireRequest,
  LeaseAnswer,
  LeasesApi,
  ProviderName,
  ProviderReport,
  Refusal,
  ReleaseRequest,
} from '../api.ts'

export type LeaseVerb = 'acquire' | 'release'

export interface RecordedLeaseCall {
  readonly verb: LeaseVerb
  /** Monotonic ms. */
  readonly at: number
  readonly provider: ProviderName
  readonly request: AcquireRequest | ReleaseRequest
}

/** What one call does. */
export type LeaseBehaviour = (signal: AbortSignal | undefined) => Promise<LeaseAnswer | Refusal>

export class ScriptedLeases implements LeasesApi {
  readonly calls: RecordedLeaseCall[] = []
  readonly cleared: ProviderName[] = []
  providers: ProviderReport[] = []
  readonly #clock: Clock
  readonly #scripts: Record<LeaseVerb, LeaseBehaviour[]>

  constructor(clock: Clock) {
    this.#clock = clock
    this.#scripts = {
      acquire: [this.answer(lease('acquired', { fence: 7 }))],
      release: [this.answer(lease('completed', { fence: 7 }))],
    }
  }

  /** The next calls do these in turn; the last one goes on for ever. */
  on(verb: LeaseVerb, ...behaviours: readonly LeaseBehaviour[]): void {
    this.#scripts[verb] = [...behaviours]
  }

  answer(value: LeaseAnswer | Refusal, afterMs = 0): LeaseBehaviour {
    return () => this.#after(afterMs, () => value)
  }

  fail(code: ErrorCode, details: Readonly<Record<string, string | number | boolean>> = {}): LeaseBehaviour {
    return () => Promise.reject(new SignalboxError(code, `http://box: ${code}`, { details }))
  }

  /** Never comes back, whatever the signal says. */
  hang(): LeaseBehaviour {
    return () => new Promise(() => undefined)
  }

  acquire(
    provider: ProviderName,
    request: AcquireRequest,
    signal?: AbortSignal,
  ): Promise<LeaseAnswer | Refusal> {
    return this.#play('acquire', provider, request, signal)
  }

  release(
    provider: ProviderName,
    request: ReleaseRequest,
    signal?: AbortSignal,
  ): Promise<LeaseAnswer | Refusal> {
    return this.#play('release', provider, request, signal)
  }

  async show(provider: ProviderName): Promise<ProviderReport> {
    const found = this.providers.find(({ name }) => JSON.stringify(name) === JSON.stringify(provider))
    if (found === undefined) throw new SignalboxError('not_found', 'no such lease provider')
    return found
  }

  async clear(provider: ProviderName): Promise<ProviderReport> {
    this.cleared.push(provider)
    return this.show(provider)
  }

  async list(): Promise<readonly ProviderReport[]> {
    return this.providers
  }

  /** When each call of this kind came, monotonic ms. */
  times(verb: LeaseVerb): number[] {
    return this.calls.filter((call) => call.verb === verb).map(({ at }) => at)
  }

  #play(
    verb: LeaseVerb,
    provider: ProviderName,
    request: AcquireRequest | ReleaseRequest,
    signal: AbortSignal | undefined,
  ): Promise<LeaseAnswer | Refusal> {
    this.calls.push({ verb, at: this.#clock.monotonic(), provider, request })
    const script = this.#scripts[verb]
    const behave = script.length > 1 ? script.shift() : script[0]
    if (behave === undefined) throw new Error(`nothing is scripted for ${verb}`)
    return behave(signal)
  }

  #after<T>(ms: number, value: () => T): Promise<T> {
    if (ms === 0) return Promise.resolve(value())
    return new Promise((resolve) => void this.#clock.timer(ms, () => resolve(value())))
  }
}

export function lease(status: LeaseAnswer['status'], more: Partial<LeaseAnswer> = {}): LeaseAnswer {
  return { kind: 'lease', status, sha: 'c3', priority: 3, ...more }
}

export function pending(reason: string, retryAfterMs?: number): LeaseAnswer {
  return lease('pending', { reason, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) })
}

export function refused(why: Refusal['why'] = 'acquired', retryAfterMs?: number): Refusal {
  const reason = 'commit c9 (priority 9) holds the lease for 5 s'
  return { kind: 'refused', why, reason, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }
}
