/**
 * One history of leases from a seed: clients that poll, release, withdraw, die, repeat themselves and change their
 * priority, one or two servers on one store that restart, a store that conflicts and loses answers, an operator who
 * clears, and time that sometimes jumps. The judge looks on. At the end all is silent for longer than anything can last, and
 * a newcomer must be let in and granted.
 */
import { memoryDatabase, type FaultPlan, type MemoryStore } from '../../../src/drivers/memory/index.ts'
import type { Clock } from '../../../src/kernel/clock.ts'
import { isSignalboxError } from '../../../src/kernel/error.ts'
import { seededRandom, type Random } from '../../../src/kernel/id.ts'
import type {
  LeaseAnswer,
  ProviderConfig,
  ProviderName,
  ProviderView,
  Refusal,
} from '../../../src/leases/api.ts'
import { historyPartition, partitionOf } from '../../../src/leases/records.ts'
import { createLeasesService, type LeasesService } from '../../../src/leases/service.ts'
import { Judge } from './judge.ts'

const provider: ProviderName = { owner: 'acme', repo: 'shop', baseRef: 'release/1.2' }
const START = Date.UTC(2026, 0, 1)

export interface Outcome {
  readonly violations: readonly string[]
  readonly counts: Readonly<Record<string, number>>
}

interface Client {
  readonly sha: string
  priority: number
  /** When it last heard `pending`, and through which server; undefined when it should not be known. */
  pending: { at: number; server: number } | undefined
  fence: number | undefined
}

interface Server {
  readonly leases: LeasesService
  readonly store: MemoryStore
}

type Reply = LeaseAnswer | Refusal

export class History {
  #now = START
  readonly #random: Random
  readonly #clock: Clock
  readonly #database = memoryDatabase()
  readonly #config: ProviderConfig
  readonly #judge: Judge
  readonly #servers: Server[] = []
  readonly #clients: Client[] = []
  readonly #counts: Record<string, number> = {}
  /** All calls sent so far, for late copies. */
  readonly #sent: (() => Promise<unknown>)[] = []
  readonly #faulty: boolean
  readonly #shared: boolean
  #quietSince = START

  constructor(seed: number) {
    this.#random = seededRandom(seed)
    this.#clock = {
      now: () => this.#now,
      monotonic: () => this.#now - START,
      timer(_ms, fire) {
        let cancelled = false
        queueMicrotask(() => {
          if (!cancelled) fire()
        })
        return {
          cancel: () => {
            cancelled = true
          },
        }
      },
    }
    const pick = <T>(...values: readonly T[]): T => values[this.#int(values.length)] as T
    this.#config = {
      stabilizeMs: pick(0, 10_000, 60_000),
      ttlMs: pick(20_000, 60_000),
      expectedCount: pick(1, 2, 3, 4),
      delayCount: pick(0, 0, 1, 2),
      maxLeaseMs: pick(120_000, 600_000),
      coolDownMs: pick(0, 0, 15_000),
    }
    this.#judge = new Judge(
      { state: partitionOf(provider), history: historyPartition(provider) },
      this.#config,
      () => this.#now,
    )
    this.#faulty = this.#random.next() < 0.6
    const servers = this.#random.next() < 0.5 ? 2 : 1
    this.#shared = servers > 1 || this.#random.next() < 0.3
    for (let i = 0; i < servers; i++) this.#servers.push(this.#open())
    for (let i = 0; i < 5; i++) this.#newClient()
  }

  async run(steps = 60): Promise<Outcome> {
    for (let i = 0; i < steps && this.#judge.violations.length === 0; i++) await this.#step()
    if (this.#judge.violations.length === 0) await this.#ending()
    await Promise.all(this.#servers.map(({ leases }) => leases.close()))
    return { violations: this.#judge.violations, counts: this.#counts }
  }

  async #step(): Promise<void> {
    const draw = this.#random.next()
    if (draw < 0.5) await this.#poll(this.#client())
    else if (draw < 0.54) await this.#together()
    else if (draw < 0.68) await this.#release(this.#holder() ?? this.#client())
    else if (draw < 0.7) await this.#release(this.#client())
    else if (draw < 0.74) await this.#lateCopy()
    else if (draw < 0.76) this.#client().priority = 1 + this.#int(6)
    else if (draw < 0.78) this.#clients[this.#int(this.#clients.length)] = this.#newClient()
    else if (draw < 0.79) await this.#clear()
    else if (draw < 0.82) await this.#restart()
    else if (draw < 0.94) this.#now += this.#int(this.#config.ttlMs / 3)
    else if (draw < 0.97) this.#now += Math.floor(this.#config.ttlMs * 1.3)
    else if (draw < 0.98) this.#now += this.#config.maxLeaseMs + 1
    else await this.#look()
  }

  async #poll(client: Client, alone = true): Promise<void> {
    const server = this.#int(this.#servers.length)
    const request = {
      sha: client.sha,
      ref: `gh-readonly-queue/main/pr-${client.sha.slice(1)}-abc`,
      priority: client.priority,
      ...(Number(client.sha.slice(1)) % 4 === 0 ? { leaseMs: 40_000 } : {}),
    }
    const call = (): Promise<Reply> => (this.#servers[server] as Server).leases.acquire(provider, request)
    this.#judge.acquireSent(client.sha, client.priority)
    const answer = await this.#sendTo(client, 'acquire', call)
    if (answer === undefined) return
    this.#noteAnswer(client, server, answer)
    if (alone && this.#random.next() < 0.15) await this.#repeat(client, 'acquire', call, answer)
  }

  #noteAnswer(client: Client, server: number, answer: Reply): void {
    if (answer.kind === 'refused') {
      this.#count('refused')
      const since = client.pending
      if (since !== undefined && this.#now - since.at <= this.#config.ttlMs) {
        this.#judge.object(`${client.sha} was refused although it waited and was never silent`)
      }
      client.pending = undefined
      return
    }
    this.#count(answer.status)
    client.pending = answer.status === 'pending' ? { at: this.#now, server } : undefined
    client.fence = answer.status === 'acquired' ? answer.fence : undefined
  }

  async #together(): Promise<void> {
    const chosen = this.#clients.filter(() => this.#random.next() < 0.7)
    await Promise.all(chosen.map((client) => this.#poll(client, false)))
  }

  async #release(client: Client): Promise<void> {
    const success = this.#random.next() < 0.55
    const { sha, priority } = client
    const server = this.#int(this.#servers.length)
    const call = (): Promise<Reply> =>
      (this.#servers[server] as Server).leases.release(provider, { sha, priority, success })
    this.#judge.releaseSent(sha)
    const answer = await this.#sendTo(client, 'release', call)
    client.pending = undefined
    client.fence = undefined
    if (answer === undefined) return
    this.#count(answer.kind === 'refused' ? 'release refused' : `release ${answer.status}`)
    if (this.#random.next() < 0.3) await this.#repeat(client, 'release', call, answer)
  }

  /** A lost answer, and the client asks again: it must hear the same. */
  async #repeat(
    client: Client,
    verb: 'acquire' | 'release',
    call: () => Promise<Reply>,
    first: Reply,
  ): Promise<void> {
    const again = await this.#sendTo(client, verb, call)
    if (again === undefined) return
    if (verb === 'acquire') this.#noteAnswer(client, client.pending?.server ?? 0, again)
    if (this.#config.delayCount > 0) return // each poll counts
    const told = (answer: Reply): string =>
      answer.kind === 'refused' ? answer.why : `${answer.status} ${answer.fence ?? ''}`
    // Between the two, the other server's view of who is silent may have been taken over.
    const same = told(first) === told(again) || (verb === 'acquire' && this.#servers.length > 1)
    const alike =
      first.kind === again.kind &&
      first.kind === 'lease' &&
      again.kind === 'lease' &&
      first.status === again.status
    if (!same && !alike)
      this.#judge.object(`${verb} of ${client.sha}: ${told(first)}, and when repeated ${told(again)}`)
  }

  /** A copy of an earlier call arrives late; nobody waits for its answer. */
  async #lateCopy(): Promise<void> {
    const copy = this.#sent[this.#int(this.#sent.length)]
    if (copy !== undefined) await copy()
    for (const client of this.#clients) client.pending = undefined
  }

  async #clear(): Promise<void> {
    this.#judge.clearSent()
    this.#count('clear')
    try {
      await this.#server().leases.clear(provider, { by: 'ann' })
    } catch (error) {
      this.#expectPassing(error)
    }
    this.#judge.cleared()
    for (const client of this.#clients) client.pending = undefined
  }

  async #restart(): Promise<void> {
    const index = this.#int(this.#servers.length)
    const before = await this.#safeView(index)
    await (this.#servers[index] as Server).leases.close()
    const waiting = this.#clients
      .flatMap(({ pending }) => pending ?? [])
      .filter(({ at }) => this.#now - at <= this.#config.ttlMs)
    if (this.#random.next() < 0.3) this.#now += this.#int(this.#config.ttlMs * 3)
    this.#servers[index] = this.#open()
    this.#quietSince = this.#now
    // With no other server that could have heard them, all who waited have a fresh ttl.
    if (this.#servers.length === 1) for (const pending of waiting) pending.at = this.#now
    this.#count('restart')
    const after = await this.#safeView(index)
    if (before === undefined || after === undefined || this.#servers.length > 1) return
    // Time may have ended a phase meanwhile; and a renewing holder that seemed dead has a fresh ttl like everybody.
    const byTime = after.phase === 'open' || after.phase === 'failover'
    const revived = after.phase === 'held' && before.phase !== 'draining'
    if (before.phase !== after.phase && !byTime && !revived) {
      this.#judge.object(`a restart made ${before.phase} into ${after.phase}`)
    }
  }

  async #look(): Promise<void> {
    const index = this.#int(this.#servers.length)
    const view = await this.#safeView(index)
    if (view === undefined) return
    const patience = this.#config.ttlMs * (this.#shared ? 1.25 : 1)
    for (const { sha, seenAt } of view.known) {
      const idle = this.#now - Math.max(seenAt, this.#quietSince)
      if (sha !== view.holder?.sha && idle > patience)
        this.#judge.object(`${sha} is still known after ${idle} ms of silence`)
    }
    for (const client of this.#clients) {
      const { pending } = client
      if (pending === undefined || this.#now - pending.at > this.#config.ttlMs) continue
      const gone = !view.known.some(({ sha }) => sha === client.sha)
      if (gone) this.#judge.object(`${client.sha} is not known any more although it was never silent`)
    }
  }

  async #ending(): Promise<void> {
    for (const { store } of this.#servers) store.faults.plan = {}
    await this.#checkHistory()
    const { ttlMs, maxLeaseMs, coolDownMs, stabilizeMs, delayCount } = this.#config
    this.#now += Math.max(ttlMs * 1.25, maxLeaseMs) + ttlMs + coolDownMs + 1
    const newcomer = this.#newClient()
    const { leases } = this.#server()
    const ask = (): Promise<Reply> => leases.acquire(provider, { sha: newcomer.sha, priority: 1 })
    const first = await ask()
    if (first.kind === 'refused') {
      this.#judge.object(`locked: a newcomer is refused after everybody was silent (${first.reason})`)
      return
    }
    for (let waited = 0; waited <= stabilizeMs + coolDownMs + ttlMs; waited += Math.floor(ttlMs / 2)) {
      for (let i = 0; i <= delayCount; i++) {
        const answer = await ask()
        if (answer.kind === 'lease' && answer.status === 'acquired') return
      }
      this.#now += Math.floor(ttlMs / 2)
    }
    this.#judge.object(
      `locked: the only one left is never granted: ${JSON.stringify(this.#config)} ${JSON.stringify(await leases.show(provider))}`,
    )
  }

  /** What people read is what was written, newest first, whatever the size of the pages. */
  async #checkHistory(): Promise<void> {
    const { leases } = this.#server()
    const read: string[] = []
    for (let before: number | undefined; ;) {
      const page = await leases.history(provider, { limit: 7, ...(before === undefined ? {} : { before }) })
      read.push(...page.requests.map(({ seq, sha, as, fence }) => `${seq} ${sha} ${as} ${fence ?? ''}`))
      before = page.next
      if (before === undefined) break
    }
    const written = [...this.#judge.past.values()]
      .sort((a, b) => b.seq - a.seq)
      .map(({ seq, sha, as, fence }) => `${seq} ${sha} ${as} ${fence ?? ''}`)
    if (read.join() !== written.join())
      this.#judge.object(`history reads ${read.join()}, not ${written.join()}`)
    this.#counts['past request'] = written.length
  }

  async #sendTo(
    client: Client,
    verb: 'acquire' | 'release',
    call: () => Promise<Reply>,
  ): Promise<Reply | undefined> {
    if (this.#sent.length < 40)
      this.#sent.push(() => call().catch((error: unknown) => this.#expectPassing(error)))
    try {
      const answer = await call()
      this.#judge.answered(client.sha, verb, answer)
      return answer
    } catch (error) {
      this.#expectPassing(error)
      client.pending = undefined
      return undefined
    }
  }

  /** A store that fails may refuse a call; nothing else may. */
  #expectPassing(error: unknown): void {
    this.#count('failed call')
    this.#quietSince = this.#now // after an outage everyone gets one fresh ttl
    const passing =
      isSignalboxError(error) && ['unavailable', 'outcome_unknown', 'throttled'].includes(error.code)
    if (!passing) this.#judge.object(`a call failed: ${error instanceof Error ? error.stack : String(error)}`)
  }

  async #safeView(index: number): Promise<ProviderView | undefined> {
    try {
      return await (this.#servers[index] as Server).leases.show(provider)
    } catch (error) {
      this.#expectPassing(error)
      return undefined
    }
  }

  #open(): Server {
    const faults: FaultPlan = this.#faulty
      ? { conflict: 0.08, lostAfter: 0.08, lostBefore: 0.04, throttled: 0.04, unavailable: 0.02 }
      : {}
    const store = this.#database.connect({
      clock: this.#clock,
      random: seededRandom(this.#int(2 ** 31)),
      faults,
      onCommit: this.#judge.committed,
    })
    const leases = createLeasesService({
      store,
      clock: this.#clock,
      random: seededRandom(this.#int(2 ** 31)),
      providers: [{ name: provider, config: this.#config }],
      shared: this.#shared,
    })
    return { leases, store }
  }

  #newClient(): Client {
    const sha = `c${this.#nextClient++}`
    const client: Client = { sha, priority: 1 + this.#int(6), pending: undefined, fence: undefined }
    if (this.#clients.length < 5) this.#clients.push(client)
    return client
  }
  #nextClient = 1

  #client(): Client {
    return this.#clients[this.#int(this.#clients.length)] as Client
  }

  #holder(): Client | undefined {
    return this.#clients.find(({ fence }) => fence !== undefined)
  }

  #server(): Server {
    return this.#servers[this.#int(this.#servers.length)] as Server
  }

  #int(below: number): number {
    return Math.floor(this.#random.next() * below)
  }

  #count(what: string): void {
    this.#counts[what] = (this.#counts[what] ?? 0) + 1
  }
}
