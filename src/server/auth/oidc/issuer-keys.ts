/**
 * The keys with which one issuer signs: its discovery document names the key set, which is kept and read again.
 *
 * Invariants: a key is trusted only if the issuer listed it at most `TRUSTED_MS` ago; while the issuer cannot be reached its
 * known keys go on working that long, and without known keys the answer is `unavailable`, never a pass; however many tokens
 * with made-up keys arrive, the issuer is asked at most once in `COOL_DOWN_MS`, by one request at a time.
 */
import {
  createLocalJWKSet,
  errors,
  type FlattenedJWSInput,
  type JWSHeaderParameters,
  type LocalJWKSet,
} from 'jose'
import { z } from 'zod'
import type { Clock } from '../../../kernel/clock.ts'
import { SignalboxError } from '../../../kernel/error.ts'
import { isIssuerUrl } from '../../config/oidc-values.ts'
import { quoted } from '../../quoted.ts'
import type { FetchJson } from './fetch-json.ts'

/** Keys older than this are read again, while the known ones go on serving. */
const FRESH_MS = 3_600_000
/** Keys that could not be read again for this long are trusted no more. */
const TRUSTED_MS = 24 * 3_600_000
/** The least time between two tries. */
const COOL_DOWN_MS = 30_000
/** The same after a try that failed: who could call is waiting. */
const RETRY_MS = 5_000
/** For both documents together. */
const PATIENCE_MS = 5_000

const discovery = z.looseObject({ issuer: z.string(), jwks_uri: z.string() })
const keySet = z.looseObject({ keys: z.array(z.looseObject({ kty: z.string() })).max(100) })

export interface FoundKey {
  readonly key: Awaited<ReturnType<LocalJWKSet>>
  /** `IssuerKeys.generation` when it was listed. */
  readonly generation: number
}

export interface IssuerKeysOptions {
  readonly issuer: string
  readonly clock: Clock
  readonly fetchJson: FetchJson
  /** Called after each try; `failure` says why it failed. */
  readonly onRead?: (failure: string | undefined) => void
}

interface KnownKeys {
  readonly find: LocalJWKSet
  readonly text: string
  readonly generation: number
  /** Monotonic time before they were asked for. */
  readonly readAt: number
}

export class IssuerKeys {
  readonly #options: IssuerKeysOptions
  readonly #closing = new AbortController()
  #known: KnownKeys | undefined
  #reading: Promise<void> | undefined
  #triedAt: number | undefined
  /** Why the last try failed; undefined when it did not. */
  #failure: string | undefined
  constructor(options: IssuerKeysOptions) {
    this.#options = options
  }

  /** Grows when the issuer lists other keys than before: what was verified may no longer count. */
  get generation(): number {
    return this.#known?.generation ?? 0
  }

  /** @throws SignalboxError `unavailable`; jose's `JWKSNoMatchingKey` when the issuer does not list such a key */
  async find(header: JWSHeaderParameters, token: FlattenedJWSInput): Promise<FoundKey> {
    if (this.#age() >= FRESH_MS) {
      const reading = this.#read()
      if (this.#age() >= TRUSTED_MS) await reading
    }
    try {
      return await found(this.#trusted(), header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
    }
    await this.#read()
    const known = this.#trusted()
    if (this.#failure === undefined) return found(known, header, token)
    throw this.#unavailable() // a new key of the issuer, or nobody's: it cannot be said now
  }

  /** Gives up what is being read. */
  close(): void {
    this.#closing.abort(new Error('was not waited for, because this server stops'))
  }

  #age(): number {
    return this.#known === undefined ? Infinity : this.#options.clock.monotonic() - this.#known.readAt
  }

  #trusted(): KnownKeys {
    if (this.#known === undefined || this.#age() >= TRUSTED_MS) throw this.#unavailable()
    return this.#known
  }

  /** Reads the keys again, unless that was tried a moment ago. Never rejects. */
  async #read(): Promise<void> {
    if (this.#reading === undefined) {
      const now = this.#options.clock.monotonic()
      const pause = this.#failure === undefined ? COOL_DOWN_MS : RETRY_MS
      if (this.#triedAt !== undefined && now - this.#triedAt < pause) return
      this.#triedAt = now
      this.#reading = this.#tryToRead(now).finally(() => (this.#reading = undefined))
    }
    await this.#reading
  }

  async #tryToRead(readAt: number): Promise<void> {
    const { clock, onRead } = this.#options
    const patience = new AbortController()
    const timer = clock.timer(
      PATIENCE_MS,
      () => patience.abort(new Error(`did not answer within ${PATIENCE_MS / 1_000} s`)),
      { unref: true },
    )
    try {
      const jwks = await this.#fetch(AbortSignal.any([patience.signal, this.#closing.signal]))
      const text = JSON.stringify(jwks)
      if (text === this.#known?.text) this.#known = { ...this.#known, readAt }
      else {
        this.#known = { find: createLocalJWKSet(jwks), text, generation: this.generation + 1, readAt }
      }
      this.#failure = undefined
    } catch (error) {
      this.#failure = reasonOf(error)
    } finally {
      timer.cancel()
    }
    onRead?.(this.#failure)
  }

  async #fetch(signal: AbortSignal): Promise<z.output<typeof keySet>> {
    const { issuer, fetchJson } = this.#options
    const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
    const document = discovery.safeParse(await aborted(fetchJson(url, signal), signal))
    if (!document.success) throw new Error('has no discovery document with issuer and jwks_uri')
    const { issuer: named, jwks_uri: keysUrl } = document.data
    if (named !== issuer) throw new Error(`calls itself ${quoted(named)} in its discovery document`)
    const downgraded = issuer.startsWith('https:') && !keysUrl.startsWith('https:')
    if (downgraded || !isIssuerUrl(keysUrl))
      throw new Error(`has its keys at ${quoted(keysUrl)}, which is not https`)
    const keys = keySet.safeParse(await aborted(fetchJson(keysUrl, signal), signal))
    if (!keys.success) throw new Error('has no key set where its discovery document says')
    return keys.data
  }

  #unavailable(): SignalboxError {
    const { issuer } = this.#options
    return new SignalboxError(
      'unavailable',
      `the keys of the OIDC issuer ${issuer} cannot be read: it ${this.#failure ?? 'was not asked yet'}; repeat the call`,
    )
  }
}

async function found(
  keys: KnownKeys,
  header: JWSHeaderParameters,
  token: FlattenedJWSInput,
): Promise<FoundKey> {
  return { key: await keys.find(header, token), generation: keys.generation }
}

/** Also a fetch that does not heed its signal ends with it. */
async function aborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const end = Promise.withResolvers<never>()
  const onAbort = (): void => end.reject(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([work, end.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** To follow "it": `cannot be reached (ECONNREFUSED)`. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'failed'
  const { code, message = 'the connection failed' } = (error.cause ?? {}) as Partial<NodeJS.ErrnoException>
  const text = error instanceof TypeError ? `cannot be reached (${code ?? message})` : error.message
  return text.replaceAll(/\s+/g, ' ').slice(0, 200)
}
