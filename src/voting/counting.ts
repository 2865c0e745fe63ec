/**
 * Counts votes: each id once, whatever is delivered twice, answered late or written by others at the same time.
 *
 * A fold puts votes that are not there yet and adds them to a shard of their topics' tallies, in one commit that expects each
 * vote absent and each shard as it was read. So whoever repeats a fold whose answer was lost is refused by its effect, reads the
 * votes, and finds them; and a fold that is still on its way when it is repeated finds the shard changed.
 *
 * Invariants: a vote that is there is never written again, so its `created` never changes; one fold of this process writes a
 * shard at a time; what cannot be settled throws, and nothing is known to be uncounted then, so it may be counted again.
 */
import { backoffDelay } from '../kernel/backoff.ts'
import { sleep, type Clock } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import type { VoteInput } from './api.ts'
import { SHARDS, type FoldResult, type StoredVote, type TallyShard, type VoteLedger } from './ledger.ts'
import { Stamps } from './naive-time.ts'
import { Slots } from './slots.ts'

export type Counted =
  | {
      /** `repeated`: it had been counted before. */
      readonly status: 'counted' | 'repeated'
      readonly vote: StoredVote
    }
  /** There is a vote with this id, for something else. */
  | { readonly status: 'conflict'; readonly vote: StoredVote }

export interface CounterOptions {
  readonly ledger: VoteLedger
  readonly clock: Clock
  readonly random: Random
}

/** Goes on as long as others get in between, which each time is somebody's progress. */
const ATTEMPTS = 12
const BACKOFF = { baseMs: 10, maxMs: 500 }
/** Shards whose state is remembered, so that counting needs no reads. */
const REMEMBERED = 10_000

export class VoteCounter {
  readonly #ledger: VoteLedger
  readonly #clock: Clock
  readonly #random: Random
  readonly #stamps: Stamps
  readonly #slots: Slots
  readonly #known = new Map<string, TallyShard>()

  constructor({ ledger, clock, random }: CounterOptions) {
    this.#ledger = ledger
    this.#clock = clock
    this.#random = random
    this.#stamps = new Stamps(clock)
    this.#slots = new Slots(SHARDS, random)
  }

  /**
   * @returns what became of each, in their order
   * @throws SignalboxError `throttled`, `unavailable`, `outcome_unknown`: some may be counted; count them all again
   */
  async count(votes: readonly VoteInput[]): Promise<readonly Counted[]> {
    const distinct = new Map<string, VoteInput>()
    for (const vote of votes) if (!distinct.has(vote.id)) distinct.set(vote.id, vote)
    const settled = new Map<string, Counted>()
    for (const fold of this.#folds([...distinct.values()])) {
      const slot = await this.#slots.take()
      try {
        await this.#fold(fold, settled, slot)
      } finally {
        slot.leave()
      }
    }
    const seen = new Set<string>()
    return votes.map((vote) => {
      const first = !seen.has(vote.id)
      seen.add(vote.id)
      return answer(vote, settled.get(vote.id), first)
    })
  }

  /** Parts that fit into a commit, even if each vote were for a topic of its own. */
  #folds(votes: readonly VoteInput[]): VoteInput[][] {
    const { changes, changesAVote } = this.#ledger.limits
    const folds: VoteInput[][] = []
    let topics = new Set<string>()
    for (const vote of votes) {
      const fold = folds.at(-1)
      const needed = topics.has(vote.topic_id) ? 0 : 1
      if (fold !== undefined && (fold.length + 1) * changesAVote + topics.size + needed <= changes)
        fold.push(vote)
      else {
        folds.push([vote])
        topics = new Set()
      }
      topics.add(vote.topic_id)
    }
    return folds
  }

  async #fold(votes: readonly VoteInput[], settled: Map<string, Counted>, slot: Slot): Promise<void> {
    let open = votes
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const shards = await this.#shards(open, slot.name)
      const stamped = open.map((vote): StoredVote => {
        const fold = (shards.get(vote.topic_id)?.fold ?? 0) + 1
        const { id, topic_id, choice_id } = vote
        return { id, topic_id, choice_id, created: this.#stamps.next(), counted: { shard: slot.name, fold } }
      })
      const result = await this.#commit(
        stamped,
        [...shards.values()].map((shard) => added(shard, open)),
      )
      if (result.ok) {
        for (const vote of stamped) settled.set(vote.id, { status: 'counted', vote })
        return
      }
      const there = result.votes === 'unknown' ? open.map(({ id }) => id) : result.votes
      const found: ReadonlyMap<string, StoredVote> =
        there.length === 0 ? new Map() : await this.#ledger.getVotes(there)
      for (const mine of stamped) {
        const vote = found.get(mine.id)
        if (vote !== undefined)
          settled.set(mine.id, { status: sameFold(mine, vote) ? 'counted' : 'repeated', vote })
      }
      open = open.filter(({ id }) => !settled.has(id))
      if (open.length === 0) return
      if (result.votes !== 'unknown' && result.shards.length === 0) continue
      slot.swap() // somebody else counts on it
      await sleep(this.#clock, backoffDelay(BACKOFF, attempt, this.#random))
    }
    throw new SignalboxError(
      'unavailable',
      `${open.length} votes could not be counted in ${ATTEMPTS} attempts, since others kept changing the same tallies; they are tried again`,
    )
  }

  async #commit(votes: readonly StoredVote[], shards: readonly TallyShard[]): Promise<FoldResult> {
    const forget = (): void => shards.forEach((shard) => this.#known.delete(nameOf(shard)))
    try {
      const result = await this.#ledger.commit({ votes, shards })
      if (result.ok) shards.forEach((shard, i) => this.#remember({ ...shard, version: result.versions[i] }))
      else forget()
      return result
    } catch (error) {
      forget()
      if (isSignalboxError(error, 'outcome_unknown')) return { ok: false, votes: 'unknown' }
      throw error
    }
  }

  /** By topic. */
  async #shards(votes: readonly VoteInput[], name: string): Promise<ReadonlyMap<string, TallyShard>> {
    const topics = [...new Set(votes.map(({ topic_id }) => topic_id))]
    const shards = await Promise.all(
      topics.map(async (topic_id) => {
        const known = this.#known.get(nameOf({ topic_id, shard: name }))
        return known ?? (await this.#ledger.getShard(topic_id, name))
      }),
    )
    return new Map(shards.map((shard) => [shard.topic_id, shard]))
  }

  #remember(shard: TallyShard): void {
    if (this.#known.size >= REMEMBERED) this.#known.clear()
    this.#known.set(nameOf(shard), shard)
  }
}

type Slot = Awaited<ReturnType<Slots['take']>>

function nameOf({ topic_id, shard }: Pick<TallyShard, 'topic_id' | 'shard'>): string {
  return `${topic_id}/${shard}`
}

/** The shard after its next fold. */
function added(shard: TallyShard, votes: readonly VoteInput[]): TallyShard {
  const counts = new Map(Object.entries(shard.counts))
  for (const { topic_id, choice_id } of votes) {
    if (topic_id === shard.topic_id) counts.set(choice_id, (counts.get(choice_id) ?? 0) + 1)
  }
  return { ...shard, fold: shard.fold + 1, counts: Object.fromEntries(counts) }
}

/** Was it this very fold that wrote it? Then only the answer had been lost. */
function sameFold(mine: StoredVote, found: StoredVote): boolean {
  const { counted } = found
  return (
    counted !== undefined &&
    counted.shard === mine.counted?.shard &&
    counted.fold === mine.counted.fold &&
    found.created === mine.created
  )
}

function answer(asked: VoteInput, settled: Counted | undefined, first: boolean): Counted {
  if (settled === undefined) throw new SignalboxError('internal', `vote '${asked.id}' was not settled`)
  const { vote } = settled
  if (vote.topic_id !== asked.topic_id || vote.choice_id !== asked.choice_id)
    return { status: 'conflict', vote }
  return first ? settled : { status: 'repeated', vote }
}
