/**
 * A merge queue at work against one provider, and the judge of what it hears: batches of four merge groups, each of which polls, holds, renews
 * and releases as its outcome was drawn beforehand. The groups of the next batch knock as soon as the lease of this one is taken, and
 * are refused until it is settled. Requests that get no answer, or a 503, are sent again.
 *
 * What must come out is known: from the highest down each group is granted and fails, until the first succeeds; those below
 * it are completed.
 */
import { post, type Told } from '../leases/support/lease-server.ts'

interface Group {
  readonly sha: string
  readonly priority: number
  readonly succeeds: boolean
}

const POLL_MS = 15

export class MergeQueue {
  /** Merge groups a batch. The provider must expect as many. */
  static readonly SIZE = 4
  readonly url: string
  readonly complaints: string[] = []
  batches = 0
  grants = 0
  /** Answers that said: the batch before is not settled. */
  refused = 0
  /** Open requests right now. */
  requests = 0
  readonly #name: string
  #holding: string | undefined
  #lastFence = 0
  #stopped = false

  /** @param url of the provider */
  constructor(url: string, name: string) {
    this.url = url
    this.#name = name
  }

  /** Ends when the batches that have begun are settled. */
  stop(): void {
    this.#stopped = true
  }

  async play(): Promise<void> {
    let taken = Promise.withResolvers<void>()
    let settled = this.#batch(0, taken.resolve)
    for (let number = 1; !this.#stopped; number++) {
      await taken.promise
      taken = Promise.withResolvers()
      const next = this.#batch(number, taken.resolve)
      await settled
      settled = next
    }
    await settled
  }

  async #batch(number: number, taken: () => void): Promise<void> {
    const groups: Group[] = Array.from({ length: MergeQueue.SIZE }, (_, i) => ({
      sha: `${this.#name}-${number}-${i + 1}`,
      priority: i + 1,
      succeeds: Math.random() < 0.5,
    }))
    const first = groups.findLast(({ succeeds }) => succeeds)?.priority ?? 0
    await Promise.all(
      groups.map(async (group) => {
        const { sha, priority, succeeds } = group
        const expected = priority < first ? 'completed' : succeeds ? 'success' : 'failure'
        const became = await this.#life(group, taken)
        if (became !== expected) this.#complain(`${sha} became ${became} instead of ${expected}`)
      }),
    )
    this.batches++
  }

  async #life({ sha, priority, succeeds }: Group, taken: () => void): Promise<string> {
    const body = { head_sha: sha, priority }
    for (;;) {
      const told = await this.#ask('acquire', { ...body, lease_seconds: 600 })
      if (told.code === 409) this.refused++
      else if (told.status === 'acquired') {
        taken()
        return this.#hold({ sha, priority, succeeds }, told.fence ?? 0)
      } else if (told.status === 'completed') {
        await this.#end(sha, { ...body, status: 'success' }, 'completed')
        return 'completed'
      } else if (told.status !== 'pending') return `${told.code} ${told.status}`
      await pause(POLL_MS)
    }
  }

  async #hold({ sha, priority, succeeds }: Group, fence: number): Promise<string> {
    this.grants++
    if (this.#holding !== undefined) this.#complain(`${sha} holds beside ${this.#holding}`)
    if (fence !== this.#lastFence + 1) this.#complain(`fence ${fence} after ${this.#lastFence}`)
    this.#lastFence = fence
    this.#holding = sha
    const body = { head_sha: sha, priority }
    for (let renewal = 0; renewal < 2; renewal++) {
      await pause(POLL_MS)
      const again = await this.#ask('acquire', { ...body, lease_seconds: 600 })
      if (again.status !== 'acquired' || again.fence !== fence)
        this.#complain(`${sha} held ${fence}, and was told ${JSON.stringify(again.body)}`)
    }
    this.#holding = undefined
    const status = succeeds ? 'success' : 'failure'
    await this.#end(sha, { ...body, status }, succeeds ? 'completed' : 'failure')
    return status
  }

  /** A release, and its repetition: both are told the same. */
  async #end(sha: string, body: object, expected: string): Promise<void> {
    for (let i = 0; i < 2; i++) {
      const { status, body: told } = await this.#ask('release', body)
      if (status !== expected) this.#complain(`${sha} released, and was told ${JSON.stringify(told)}`)
    }
  }

  /** Asks until there is an answer that says something. @throws what no server may answer, down or up */
  async #ask(verb: 'acquire' | 'release', body: object): Promise<Told> {
    for (;;) {
      this.requests++
      try {
        const told = await post(`${this.url}/${verb}`, body)
        if (told.code === 200 || told.code === 409) return told
        if (told.code !== 503) throw new Error(`${verb}: ${told.code} ${JSON.stringify(told.body)}`)
      } catch (error) {
        // The only thing that `fetch` throws: nobody is there, or the connection broke.
        if (!(error instanceof TypeError)) throw error
      } finally {
        this.requests--
      }
      await pause(POLL_MS)
    }
  }

  #complain(what: string): void {
    this.complaints.push(`${this.#name}: ${what}`)
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms))
}
