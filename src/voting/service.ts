/**
 * The rules of topics and votes, on a ledger and a queue.
 *
 * Invariants: a vote's id is fixed before it is sent, so sending it again is safe; a topic is replaced only over what was read,
 * so two replacements at once lose no choice; a choice that was taken out keeps its votes, and its id may return.
 */
import { createHash, randomUUID } from 'node:crypto'
import type { Clock } from '../kernel/clock.ts'
import { SignalboxError, toSignalboxError } from '../kernel/error.ts'
import {
  PAGE_LIMIT,
  type CreateTopic,
  type CreateVote,
  type PageOptions,
  type QueuedVoteView,
  type ReplaceTopic,
  type TopicView,
  type VoteInput,
  type VoteView,
} from './api.ts'
import { sumShards, type Choice, type LedgerPage, type StoredTopic, type VoteLedger } from './ledger.ts'
import { Stamps, parseNaiveTime } from './naive-time.ts'

export interface VotingOptions {
  readonly ledger: VoteLedger
  readonly clock: Clock
  /** Hands votes to the workers, durably. */
  readonly send: (vote: VoteInput) => Promise<void>
  /** Refuse votes on topics that are not active. Default false, as in the reference. */
  readonly requireActive?: boolean
  /** Makes the ids of topics, choices and votes; default UUIDs. */
  readonly newId?: () => string
}

/**
 * A refusal because of what was asked: `details.field` says where. Engines' errors have none, so that a missing table is never
 * told to a client as a topic that is not there.
 */
export function refusal(
  code: 'invalid_argument' | 'not_found' | 'conflict',
  field: string,
  message: string,
): SignalboxError {
  return new SignalboxError(code, message, { details: { field } })
}

/** How long what a topic says about votes may be older than the topic, where another process changed it. */
const FRESH_MS = 1_000
const REMEMBERED_TOPICS = 1_000
const REPLACE_ATTEMPTS = 8
/** Ids of former choices that a topic remembers. */
const MAX_RETIRED = 1_000

export class VotingService {
  readonly #options: VotingOptions
  readonly #stamps: Stamps
  readonly #newId: () => string
  readonly #fresh = new Map<string, { readonly topic: StoredTopic; readonly until: number }>()

  constructor(options: VotingOptions) {
    this.#options = options
    this.#stamps = new Stamps(options.clock)
    this.#newId = options.newId ?? randomUUID
  }

  async createTopic({ title, is_active, choices }: CreateTopic): Promise<TopicView> {
    const created = this.#stamps.next()
    const topic: StoredTopic = {
      id: this.#newId(),
      created,
      last_upd: created,
      is_active,
      title,
      choices: choices.map(({ description }) => ({ id: this.#newId(), description })),
      retired: [],
    }
    await this.#options.ledger.createTopic(topic)
    return view(topic)
  }

  /**
   * Title, activity and choices become what is given.
   * @throws SignalboxError `not_found`; `invalid_argument` (a choice id that the topic never had, or twice); `conflict` (others
   *   keep replacing it)
   */
  async replaceTopic(id: string, { title, is_active, choices }: ReplaceTopic): Promise<void> {
    for (let attempt = 0; attempt < REPLACE_ATTEMPTS; attempt++) {
      const before = await this.#topic(id)
      await this.#checkChoiceIds(before, choices)
      const next: Choice[] = choices.map((choice) => ({
        id: choice.id ?? this.#newId(),
        description: choice.description,
      }))
      const kept = new Set(next.map((choice) => choice.id))
      const former = [...before.choices.map((choice) => choice.id), ...before.retired]
      const topic: StoredTopic = {
        id,
        created: before.created,
        last_upd: this.#stamps.next(parseNaiveTime(before.last_upd) || 0),
        is_active,
        title,
        choices: next,
        retired: [...new Set(former)].filter((each) => !kept.has(each)).slice(0, MAX_RETIRED),
      }
      const replaced = await this.#options.ledger.replaceTopic(topic, before.last_upd)
      this.#fresh.delete(id) // a vote may have read it meanwhile
      if (replaced) return
    }
    throw refusal('conflict', 'id', `topic '${id}' is being changed by others; try again`)
  }

  /** @throws SignalboxError `not_found` */
  async getTopic(id: string, includeVotes = false): Promise<TopicView> {
    const topic = await this.#topic(id)
    return includeVotes ? view(topic, await this.#tally([id])) : view(topic)
  }

  async listTopics(page: PageOptions, includeVotes = false): Promise<LedgerPage<TopicView>> {
    const { entries, next } = await this.#options.ledger.listTopics(page)
    const tally = includeVotes ? await this.#tally(entries.map(({ id }) => id)) : undefined
    const topics = entries.map((topic) => view(topic, tally)).sort(newestFirst)
    return { entries: topics, ...(next === undefined ? {} : { next }) }
  }

  /**
   * Queues a vote.
   * @param key what the client calls this attempt; with it, or with an `id`, it may be made again and counts once
   * @throws SignalboxError `not_found` (topic), `invalid_argument` (choice), `conflict` (not active), `unavailable`
   */
  async vote({ topic_id, choice_id, id }: CreateVote, key?: string): Promise<QueuedVoteView> {
    const topic = await this.#topicWith(topic_id, choice_id)
    if (!topic.choices.some((choice) => choice.id === choice_id)) {
      throw refusal(
        'invalid_argument',
        'choice_id',
        `choice_id: topic '${topic_id}' has no choice '${choice_id}'`,
      )
    }
    if (this.#options.requireActive === true && !topic.is_active) {
      throw refusal('conflict', 'topic_id', `topic '${topic_id}' is not active; it takes no votes`)
    }
    const vote = {
      id: id ?? (key === undefined ? this.#newId() : idOfKey(topic_id, key)),
      topic_id,
      choice_id,
    }
    const queued_at = this.#stamps.next()
    try {
      await this.#options.send(vote)
    } catch (error) {
      throw withVoteId(error, vote.id)
    }
    return { ...vote, queued_at }
  }

  /** @returns undefined as long as it is not counted */
  async getVote(id: string): Promise<VoteView | undefined> {
    const vote = (await this.#options.ledger.getVotes([id])).get(id)
    return vote === undefined ? undefined : voteView(vote)
  }

  /** Newest first. @throws SignalboxError `not_found` (topic) */
  async listVotes(topicId: string, page: PageOptions): Promise<LedgerPage<VoteView>> {
    await this.#topic(topicId)
    const { entries, next } = await this.#options.ledger.listVotes(topicId, page)
    return { entries: entries.map(voteView), ...(next === undefined ? {} : { next }) }
  }

  async #topic(id: string): Promise<StoredTopic> {
    const topic = await this.#options.ledger.getTopic(id)
    if (topic === undefined) throw refusal('not_found', 'id', `there is no topic '${id}'`)
    return topic
  }

  /** A topic as it was a moment ago, unless that one lacks the choice. */
  async #topicWith(id: string, choiceId: string): Promise<StoredTopic> {
    const now = this.#options.clock.monotonic()
    const known = this.#fresh.get(id)
    if (
      known !== undefined &&
      now < known.until &&
      known.topic.choices.some((choice) => choice.id === choiceId)
    ) {
      return known.topic
    }
    const topic = await this.#topic(id)
    if (this.#fresh.size >= REMEMBERED_TOPICS) this.#fresh.clear()
    this.#fresh.set(id, { topic, until: now + FRESH_MS })
    return topic
  }

  async #checkChoiceIds(topic: StoredTopic, choices: ReplaceTopic['choices']): Promise<void> {
    const given = choices.flatMap(({ id }, index) => (typeof id === 'string' ? [{ id, index }] : []))
    const had = new Set([...topic.choices.map(({ id }) => id), ...topic.retired])
    const unknown = given.filter(({ id }) => !had.has(id))
    // One that got votes was a choice once, even if nobody wrote down that it was taken out.
    const voted = unknown.length === 0 ? undefined : (await this.#tally([topic.id])).get(topic.id)
    const seen = new Set<string>()
    for (const { id, index } of given) {
      const at = `choices.${index}.id`
      if (seen.has(id)) throw refusal('invalid_argument', at, `${at}: '${id}' is there twice`)
      seen.add(id)
      if (!had.has(id) && voted?.has(id) !== true) {
        throw refusal(
          'invalid_argument',
          at,
          `${at}: topic '${topic.id}' never had a choice '${id}'; leave the id out for a new choice`,
        )
      }
    }
  }

  async #tally(ids: readonly string[]): Promise<Tally> {
    return sumShards(await this.#options.ledger.getShards(ids))
  }
}

type Tally = ReadonlyMap<string, ReadonlyMap<string, number>>

/** `limit` of a page as asked for. */
export function pageOf(limit: number | undefined, after: string | undefined): PageOptions {
  return { limit: limit ?? PAGE_LIMIT, ...(after === undefined ? {} : { after }) }
}

function view(topic: StoredTopic, tally?: Tally): TopicView {
  const { id, created, last_upd, is_active, title, choices } = topic
  const votes = tally?.get(id)
  return {
    id,
    created,
    last_upd,
    is_active,
    title,
    choices: choices.map((choice) => ({
      id: choice.id,
      description: choice.description,
      votes: tally === undefined ? null : (votes?.get(choice.id) ?? 0),
    })),
  }
}

function voteView({ id, topic_id, choice_id, created }: VoteView): VoteView {
  return { id, topic_id, choice_id, created }
}

function newestFirst(a: TopicView, b: TopicView): number {
  return a.created === b.created ? 0 : a.created < b.created ? 1 : -1
}

/** The same key on the same topic is the same vote, whatever is chosen. */
function idOfKey(topicId: string, key: string): string {
  const hex = createHash('sha256').update(`${topicId}\n${key}`).digest('hex')
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `a${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-')
}

/** Maybe it was queued: who sends it again with its id does not vote twice. */
function withVoteId(thrown: unknown, voteId: string): SignalboxError {
  const { code, message, details } = toSignalboxError(thrown)
  return new SignalboxError(code, message, { cause: thrown, details: { ...details, voteId } })
}
