/**
 * The leases service: `LeasesApi` next to a store. One `ProviderActor` a provider. Any number of services may work on one
 * store; then each must be told so (`shared`).
 */
import type { Clock } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import { Elsewhere } from '../ports/elsewhere.ts'
import { decimalKey, type Key, type Store } from '../ports/store.ts'
import {
  providerId,
  providerLabel,
  type AcquireRequest,
  type ClearAct,
  type LeaseAnswer,
  type LeaseHistoryView,
  type LeaseProviderView,
  type LeasesApi,
  type LeasesReading,
  type ProviderConfig,
  type ProviderName,
  type ProviderView,
  type Refusal,
  type ReleaseRequest,
} from './api.ts'
import { ProviderActor, type ActorContext, type ProviderEvent, type Reply } from './provider-actor.ts'
import { historyPage } from './inspection.ts'
import {
  asJson,
  headerKey,
  historyPartition,
  registryKey,
  registryPartition,
  type Registered,
  type StoredPast,
} from './records.ts'
import type { Command } from './rules.ts'
import { looksAlike } from './state.ts'

export interface ProviderSettings {
  readonly name: ProviderName
  readonly config: ProviderConfig
}

export interface LeasesServiceOptions {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly providers: readonly ProviderSettings[]
  /** Makes providers that are not listed, at their first acquire. */
  readonly anyProvider?: ProviderConfig
  /** Other processes may serve the same providers on the same store. */
  readonly shared?: boolean
  /** Called for everything that happened, after it is durable; for metrics and logs. Must not throw. */
  readonly onEvent?: (event: ProviderEvent) => void
}

export interface LeasesService extends LeasesApi, LeasesReading {
  show(provider: ProviderName): Promise<ProviderView>
  clear(provider: ProviderName, act: ClearAct): Promise<ProviderView>
  list(): Promise<ProviderView[]>
  /** All providers, in the order of their labels. */
  names(): Promise<ProviderName[]>
  /**
   * Calls `listener` whenever what people see of a provider was changed by a call; what time alone does is seen only by
   * looking. @returns stops it
   */
  onChange(listener: (provider: ProviderName) => void): () => void
  /** Takes up what the store holds. */
  start(): Promise<void>
  /** Is this a provider, or would an acquire make it one? */
  has(provider: ProviderName, verb: 'acquire' | 'other'): Promise<boolean>
  /** Known requests a provider without completed ones, as far as this process knows; for metrics. */
  waiting(): { readonly provider: ProviderName; readonly requests: number }[]
  close(): Promise<void>
}

const PAGE = 1_000

export function createLeasesService(options: LeasesServiceOptions): LeasesService {
  return new StoreLeases(options)
}

class StoreLeases implements LeasesService {
  readonly #options: LeasesServiceOptions
  readonly #actors = new Map<string, ProviderActor>()
  readonly #listeners = new Set<(provider: ProviderName) => void>()
  readonly #startedAt: number
  readonly #elsewhere: Elsewhere | undefined

  constructor(options: LeasesServiceOptions) {
    this.#options = options
    this.#startedAt = options.store.now().ms
    if (options.shared === true) {
      const { clock, store } = options
      const changed = (id: string): void => {
        const actor = this.#actors.get(id)
        if (actor !== undefined) this.#changed(actor.name)
      }
      this.#elsewhere = new Elsewhere({ clock, store, records: () => this.#headers(), changed })
    }
    for (const { name, config } of options.providers) this.#add(name, config)
  }

  async start(): Promise<void> {
    await this.#takeUp()
    await Promise.all([...this.#actors.values()].map((actor) => actor.submit({ kind: 'look' })))
  }

  async has(provider: ProviderName, verb: 'acquire' | 'other'): Promise<boolean> {
    if (verb === 'acquire' && this.#options.anyProvider !== undefined) return true
    return (await this.#actor(provider, false)) !== undefined
  }

  async acquire(provider: ProviderName, request: AcquireRequest): Promise<LeaseAnswer | Refusal> {
    const { answer } = await this.#submit(provider, { kind: 'acquire', request })
    return answer as LeaseAnswer | Refusal
  }

  async release(provider: ProviderName, request: ReleaseRequest): Promise<LeaseAnswer | Refusal> {
    const { answer } = await this.#submit(provider, { kind: 'release', request })
    return answer as LeaseAnswer | Refusal
  }

  async show(provider: ProviderName): Promise<ProviderView> {
    return (await this.#submit(provider, { kind: 'look' })).view()
  }

  async clear(provider: ProviderName, act: ClearAct): Promise<ProviderView> {
    return (await this.#submit(provider, { kind: 'clear', ...act })).view()
  }

  async inspect(provider: ProviderName): Promise<LeaseProviderView> {
    return (await this.#submit(provider, { kind: 'look' })).inspect()
  }

  async history(
    provider: ProviderName,
    { limit = 50, before }: { readonly limit?: number; readonly before?: number } = {},
  ): Promise<LeaseHistoryView> {
    if (!(await this.has(provider, 'other'))) throw unknown(provider)
    const page = await this.#options.store.list(
      { partition: historyPartition(provider) },
      {
        limit: Math.min(limit, PAGE),
        reverse: true,
        ...(before === undefined ? {} : { after: decimalKey(before) }),
      },
    )
    const records = page.records.map(({ value }) => value as unknown as StoredPast)
    return historyPage(provider, records, page.next !== undefined)
  }

  async names(): Promise<ProviderName[]> {
    // Other processes may have made some.
    if (this.#options.shared === true) await this.#takeUp()
    const labelled = [...this.#actors.values()].map(({ name }) => ({ name, label: providerLabel(name) }))
    return labelled.sort((a, b) => (a.label < b.label ? -1 : 1)).map(({ name }) => name)
  }

  onChange(listener: (provider: ProviderName) => void): () => void {
    this.#listeners.add(listener)
    if (this.#listeners.size === 1) this.#elsewhere?.start()
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#elsewhere?.stop()
    }
  }

  async list(): Promise<ProviderView[]> {
    if (this.#options.shared === true) await this.#takeUp()
    const actors = [...this.#actors.values()]
    return Promise.all(actors.map(async (actor) => (await actor.submit({ kind: 'look' })).view()))
  }

  waiting(): { readonly provider: ProviderName; readonly requests: number }[] {
    return [...this.#actors.values()].map((actor) => ({ provider: actor.name, requests: actor.waiting() }))
  }

  async close(): Promise<void> {
    this.#elsewhere?.stop()
    for (const actor of this.#actors.values()) actor.close()
  }

  #changed(provider: ProviderName): void {
    for (const listener of this.#listeners) listener(provider)
  }

  async #headers(): Promise<ReadonlyMap<string, Key>> {
    return new Map((await this.names()).map((name) => [providerId(name), headerKey(name)]))
  }

  async #takeUp(): Promise<void> {
    if (this.#options.anyProvider === undefined) return
    for (const name of await this.#registered()) this.#made(name)
  }

  async #submit(provider: ProviderName, command: Command): Promise<Reply> {
    const actor = await this.#actor(provider, command.kind === 'acquire')
    if (actor !== undefined) return actor.submit(command)
    throw unknown(provider)
  }

  async #actor(provider: ProviderName, make: boolean): Promise<ProviderActor | undefined> {
    const known = this.#actors.get(providerId(provider))
    if (known !== undefined || this.#options.anyProvider === undefined) return known
    const found = (await this.#bucket(provider)).providers
    if (!found.some((one) => providerId(one) === providerId(provider))) {
      if (!make) return undefined
      await this.#register(provider)
    }
    return this.#made(provider)
  }

  #made(name: ProviderName): ProviderActor | undefined {
    const config = this.#options.anyProvider
    return this.#actors.get(providerId(name)) ?? (config === undefined ? undefined : this.#add(name, config))
  }

  #add(name: ProviderName, config: ProviderConfig): ProviderActor {
    const { store, clock, random, shared = false, onEvent = () => {} } = this.#options
    const changed: ActorContext['changed'] = (provider, from, to) => {
      if (this.#listeners.size > 0 && !looksAlike(from, to)) this.#changed(provider)
    }
    const context = { store, clock, random, shared, startedAt: this.#startedAt, emit: onEvent, changed }
    const actor = new ProviderActor(name, config, context)
    this.#actors.set(providerId(name), actor)
    return actor
  }

  async #bucket(provider: ProviderName): Promise<Registered & { readonly version: string | undefined }> {
    const record = await this.#options.store.get(registryKey(provider))
    const providers = (record?.value as unknown as Registered | undefined)?.providers ?? []
    return { providers, version: record?.version }
  }

  /** The name goes into the registry before its first record. */
  async #register(provider: ProviderName): Promise<void> {
    const key = registryKey(provider)
    for (let chances = 5; ;) {
      const { providers, version } = await this.#bucket(provider)
      if (providers.some((one) => providerId(one) === providerId(provider))) return
      const value = asJson({ providers: [...providers, provider] })
      const expect = version === undefined ? 'absent' : { version }
      try {
        if ((await this.#options.store.commit([{ op: 'put', key, expect, value }])).ok) return
      } catch (error) {
        if (!isSignalboxError(error, 'outcome_unknown') || --chances === 0) throw error
      }
    }
  }

  async #registered(): Promise<ProviderName[]> {
    const names: ProviderName[] = []
    for (let after: string | undefined; ;) {
      const page = await this.#options.store.list(
        { partition: registryPartition },
        after === undefined ? { limit: PAGE } : { limit: PAGE, after },
      )
      for (const { value } of page.records) names.push(...(value as unknown as Registered).providers)
      after = page.next
      if (after === undefined) return names
    }
  }
}

function unknown(provider: ProviderName): SignalboxError {
  return new SignalboxError('not_found', `unknown lease provider ${providerLabel(provider)}`)
}
