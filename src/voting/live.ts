/**
 * Live results: who watches a topic is told when its tally changes, whoever counted the votes. Each watched topic is read once a
 * second, however many watch it, and at once (within a quarter of a second) where the ledger gives hints.
 *
 * Invariant: while nobody watches a topic, nothing of it is read or kept.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import type { TopicView } from './api.ts'
import type { VoteLedger } from './ledger.ts'

export interface LiveOptions {
  readonly clock: Clock
  readonly ledger: Pick<VoteLedger, 'watch'>
  /** Reads a topic with its votes. */
  readonly read: (topicId: string) => Promise<TopicView>
}

const LOOK_MS = 1_000
const SOON_MS = 250

export class LiveResults {
  readonly #options: LiveOptions
  readonly #watched = new Map<string, WatchedTopic>()

  constructor(options: LiveOptions) {
    this.#options = options
  }

  /** @param changed called after each change, without the data. @returns stops watching */
  onChange(topicId: string, changed: () => void): () => void {
    let topic = this.#watched.get(topicId)
    if (topic === undefined) {
      topic = new WatchedTopic(topicId, this.#options)
      this.#watched.set(topicId, topic)
    }
    const watched = topic
    watched.listeners.add(changed)
    return () => {
      watched.listeners.delete(changed)
      if (watched.listeners.size > 0 || this.#watched.get(topicId) !== watched) return
      watched.stop()
      this.#watched.delete(topicId)
    }
  }

  /** What is known of a watched topic; otherwise it is read. */
  async latest(topicId: string): Promise<TopicView> {
    return this.#watched.get(topicId)?.view ?? (await this.#options.read(topicId))
  }

  /** Topics that are watched. */
  get size(): number {
    return this.#watched.size
  }
}

class WatchedTopic {
  readonly listeners = new Set<() => void>()
  view: TopicView | undefined
  readonly #id: string
  readonly #options: LiveOptions
  readonly #stopped = new AbortController()
  #text = ''
  #timer: Timer | undefined
  #looking = false
  #hinted = false

  constructor(id: string, options: LiveOptions) {
    this.#id = id
    this.#options = options
    void this.#look()
    void this.#takeHints().catch(() => undefined) // then it is looked at once a second
  }

  stop(): void {
    this.#stopped.abort()
    this.#timer?.cancel()
  }

  async #look(): Promise<void> {
    this.#looking = true
    this.#hinted = false
    try {
      const view = await this.#options.read(this.#id)
      const text = JSON.stringify(view)
      if (text !== this.#text) {
        this.view = view
        this.#text = text
        for (const listener of this.listeners) listener()
      }
    } catch {
      // The next look tells.
    }
    this.#looking = false
    this.#lookIn(this.#hinted ? SOON_MS : LOOK_MS)
  }

  #lookIn(ms: number): void {
    this.#timer?.cancel()
    if (this.#stopped.signal.aborted) return
    this.#timer = this.#options.clock.timer(ms, () => void this.#look(), { unref: true })
  }

  async #takeHints(): Promise<void> {
    const hints = this.#options.ledger.watch?.(this.#id, this.#stopped.signal) ?? []
    for await (const _ of hints) {
      const first = !this.#hinted
      this.#hinted = true
      if (first && !this.#looking) this.#lookIn(SOON_MS)
    }
  }
}
