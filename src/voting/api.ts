/**
 * The vocabulary of the voting service: what goes in and out, in the names of the reference (snake_case), so that its clients
 * work unchanged. Times are naive UTC with six digits (`naive-time.ts`).
 */
import { z } from 'zod'

const ID = /^[\w.-]{1,64}$/
const NAIVE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/
/** Choices of a topic. */
const MAX_CHOICES = 100
/** Entries of a page. */
export const PAGE_LIMIT = 100

/** Ids that are made here are UUIDs; those of clients and of older data may be others. */
export const idText = z.string().regex(ID, 'must be 1 to 64 letters, digits, _ . or -')
const titleText = z.string().trim().min(1).max(500)
const descriptionText = z.string().trim().min(1).max(300)
const time = z
  .string()
  .regex(NAIVE)
  .meta({ description: 'UTC, without a zone, six digits.', examples: ['2021-12-28T00:48:55.871230'] })

/** As in the reference, null is as good as nothing. */
const isActive = z
  .boolean()
  .nullish()
  .transform((given) => given ?? true)
  .describe('Default true.')
const apiKey = z.string().nullish().describe('The API key, unless a header carries it.')

export const createTopicBody = z
  .object({
    title: titleText,
    is_active: isActive,
    choices: z
      .array(z.object({ description: descriptionText }))
      .max(MAX_CHOICES)
      .nullish()
      .transform((given) => given ?? [])
      .describe('Default none.'),
    api_key: apiKey,
  })
  .meta({ id: 'CreateTopic' })
export type CreateTopic = Omit<z.infer<typeof createTopicBody>, 'api_key'>

export const replaceTopicBody = z
  .object({
    title: titleText,
    is_active: isActive,
    choices: z
      .array(
        z.object({
          id: idText.nullish().describe('Of a choice that the topic has or had; a new choice has none.'),
          description: descriptionText,
        }),
      )
      .max(MAX_CHOICES)
      .nullish()
      .transform((given) => given ?? [])
      .describe('Default none.'),
    api_key: apiKey,
  })
  .meta({ id: 'ReplaceTopic' })
export type ReplaceTopic = Omit<z.infer<typeof replaceTopicBody>, 'api_key'>

export const topicView = z
  .object({
    id: z.string(),
    created: time,
    last_upd: time,
    is_active: z.boolean(),
    title: z.string(),
    choices: z.array(
      z.object({
        id: z.string(),
        description: z.string(),
        votes: z.number().int().min(0).nullable().describe('null unless votes were asked for.'),
      }),
    ),
  })
  .meta({ id: 'Topic' })
export type TopicView = z.infer<typeof topicView>

export const createVoteBody = z
  .object({
    topic_id: idText,
    choice_id: idText,
    id: idText
      .nullish()
      .describe('Made by the client: the same vote sent again with it is counted once. Default: a new UUID.'),
  })
  .meta({ id: 'CreateVote' })
export type CreateVote = z.infer<typeof createVoteBody>

export const queuedVoteView = z
  .object({ id: z.string(), topic_id: z.string(), choice_id: z.string(), queued_at: time })
  .meta({ id: 'QueuedVote' })
export type QueuedVoteView = z.infer<typeof queuedVoteView>

export const voteView = z
  .object({
    id: z.string(),
    topic_id: z.string(),
    choice_id: z.string(),
    created: time.describe('When it was counted; never changes.'),
  })
  .meta({ id: 'Vote' })
export type VoteView = z.infer<typeof voteView>

/** What is sent through the queue. */
export const voteInput = z.object({ id: idText, topic_id: idText, choice_id: idText })
export type VoteInput = z.infer<typeof voteInput>

export interface PageOptions {
  /** 1 to `PAGE_LIMIT`. */
  readonly limit: number
  /** The `next` of the page before. */
  readonly after?: string | undefined
}
