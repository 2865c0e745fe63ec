/**
 * The priority of a merge group: by how many commits it is ahead of its base branch, from GitHub's compare API
 * (docs.github.com, REST API, compare two commits). Of two groups of a queue the one with more contains the other.
 *
 * It is compared with the base *branch*: `base_sha` of the event is the group before this one in the queue, so every group
 * would be ahead of it by its own commits only. The branch moves when groups are merged, which makes all of the rest fall by as
 * much; so it is asked again with each poll, else a group that asked before a merge would pass for one that contains those that
 * asked after it, and would have them told `completed` untested. A question that changes nothing is answered 304, which GitHub
 * does not count.
 *
 * Invariants:
 * - a priority is at least 1, and a whole number;
 * - while GitHub does not say how it stands there is none to ask with: numbers only fall, so an old one is too high. Whoever
 *   does not ask for a while is forgotten by the lease server, and let in again.
 */
import { systemClock, sleep } from '../../../src/kernel/clock.ts'
import { backoffDelay } from '../../../src/kernel/backoff.ts'
import { isSignalboxError, SignalboxError } from '../../../src/kernel/error.ts'
import { systemRandom } from '../../../src/kernel/id.ts'
import { input, type Env } from '../../shared/inputs.ts'
import type { MergeGroup } from './merge-group.ts'

export interface Priority {
  /** The last one known. */
  readonly current: number
  /**
   * Looks again; to be called before each question but the first.
   * @throws SignalboxError `unavailable` when it cannot be known, whatever the cause: then `current` is too old to ask with
   */
  renew(signal?: AbortSignal): Promise<void>
  /** What `renew` threw last; undefined when it has succeeded since. */
  readonly failure: SignalboxError | undefined
}

interface CompareOptions {
  readonly env: Env
  readonly group: MergeGroup
  /** How long to try. */
  readonly patienceMs: number
  readonly signal: AbortSignal
}

const ANSWER_MS = 10_000
/** A question about the lease waits for it. */
const RENEWAL_MS = 4_000
/**
 * How old a number without an entity tag may be: two polls, of which one is not asked, for each question counts and there is a
 * limit for all jobs of a repository.
 */
const UNTAGGED_MS = 10_000
const BACKOFF = { baseMs: 500, maxMs: 10_000 }

export function fixedPriority(current: number): Priority {
  return { current, failure: undefined, renew: () => Promise.resolve() }
}

/**
 * @throws SignalboxError `unavailable` when GitHub does not answer in time, `permission_denied`, `not_found`; the signal's reason
 */
export async function commitsAhead(options: CompareOptions): Promise<Priority> {
  const comparison = new Comparison(options)
  await comparison.begin()
  return comparison
}

class Comparison implements Priority {
  readonly #options: CompareOptions
  readonly #url: string
  #etag: string | undefined
  /** Until then, by the monotonic clock, the number is young enough. */
  #freshUntil = -Infinity
  /** GitHub asks to be left alone until then, by the monotonic clock. */
  #notBefore = -Infinity
  current = 1
  failure: SignalboxError | undefined

  constructor(options: CompareOptions) {
    const { env, group } = options
    const api = (env['GITHUB_API_URL'] || 'https://api.github.com').replace(/\/$/, '')
    const range = [group.provider.baseRef, group.sha].map(encodeURIComponent).join('...')
    this.#options = options
    this.#url = `${api}/repos/${env['GITHUB_REPOSITORY'] ?? ''}/compare/${range}`
  }

  async begin(): Promise<void> {
    const { patienceMs, signal } = this.#options
    const until = systemClock.monotonic() + patienceMs
    for (let n = 0; ; n++) {
      try {
        return await this.#ask(signal, ANSWER_MS)
      } catch (error) {
        signal.throwIfAborted()
        if (!isSignalboxError(error, 'unavailable')) throw error
        const asked = Number(error.details['retryAfterMs'] ?? 0)
        const delayMs = Math.max(asked, backoffDelay(BACKOFF, n, systemRandom))
        if (systemClock.monotonic() + delayMs >= until) throw error
        await sleep(systemClock, delayMs, signal)
      }
    }
  }

  async renew(signal?: AbortSignal): Promise<void> {
    const now = systemClock.monotonic()
    if (now < this.#freshUntil) return
    if (this.failure !== undefined && now < this.#notBefore) throw this.failure
    try {
      await this.#ask(signal, RENEWAL_MS)
      this.failure = undefined
    } catch (error) {
      signal?.throwIfAborted()
      if (!isSignalboxError(error)) throw error
      const { message, details } = error
      this.failure = new SignalboxError('unavailable', message, { cause: error, details })
      this.#notBefore = systemClock.monotonic() + Number(details['retryAfterMs'] ?? 0)
      throw this.failure
    }
  }

  async #ask(signal: AbortSignal | undefined, limitMs: number): Promise<void> {
    const token = input('token')
    const limit = AbortSignal.timeout(limitMs)
    const sentAt = systemClock.monotonic()
    let answer: Response
    let text: string
    try {
      answer = await fetch(this.#url, {
        headers: {
          accept: 'application/vnd.github+json',
          'x-github-api-version': '2022-11-28',
          'user-agent': 'signalbox',
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(this.#etag === undefined ? {} : { 'if-none-match': this.#etag }),
        },
        signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
      })
      text = await answer.text()
    } catch (cause) {
      signal?.throwIfAborted()
      throw this.#problem('unavailable', 'GitHub could not be asked', { cause })
    }
    if (answer.status === 304) return
    if (answer.status !== 200) throw this.#refused(answer)
    this.current = Math.max(1, aheadBy(text) ?? this.#strange())
    this.#etag = answer.headers.get('etag') ?? undefined
    if (this.#etag === undefined) this.#freshUntil = sentAt + UNTAGGED_MS
  }

  #refused({ status, headers }: Response): SignalboxError {
    const wait = waitOf(headers)
    if (status === 429 || (status === 403 && wait !== undefined)) {
      const details = { retryAfterMs: wait ?? 0 }
      return this.#problem('unavailable', `GitHub's limit of requests is used up (status ${status})`, {
        details,
      })
    }
    if (status >= 500) return this.#problem('unavailable', `GitHub fails (status ${status})`)
    const right = "the token needs the permission 'contents: read'"
    if (status === 404)
      return this.#problem('not_found', `GitHub knows no such branch or commit (404), or ${right}`)
    if (status === 401 || status === 403)
      return this.#problem('permission_denied', `GitHub refuses (status ${status}); ${right}`)
    return this.#problem('unavailable', `GitHub answered with status ${status}`)
  }

  #strange(): never {
    throw this.#problem('unavailable', 'GitHub did not answer with ahead_by')
  }

  #problem(
    code: SignalboxError['code'],
    what: string,
    more: ConstructorParameters<typeof SignalboxError>[2] = {},
  ): SignalboxError {
    const remedy = "or give the input 'priority'"
    return new SignalboxError(
      code,
      `the priority cannot be looked up: ${this.#url}: ${what}; ${remedy}`,
      more,
    )
  }
}

/** When a limit ends; undefined: it is none (docs.github.com, REST API, exceeding the rate limit). */
function waitOf(headers: Headers): number | undefined {
  const after = headers.get('retry-after')
  if (after !== null && /^\d{1,6}$/.test(after)) return Number(after) * 1_000
  if (headers.get('x-ratelimit-remaining') !== '0') return undefined
  const reset = Number(headers.get('x-ratelimit-reset') ?? 0)
  return Math.max(1_000, reset * 1_000 - systemClock.now())
}

function aheadBy(text: string): number | undefined {
  try {
    const { ahead_by: ahead } = JSON.parse(text) as { readonly ahead_by?: unknown }
    return Number.isSafeInteger(ahead) ? (ahead as number) : undefined
  } catch {
    return undefined
  }
}
