/** What is said about notifications: kinds, rules, what is told to people and programs. Times of views are ISO 8601 in UTC. Part of `api.ts`. */
import { z } from 'zod'

/** What somebody can be notified of. `recovered`: the first success after ends that were not. */
export const eventKinds = ['failed', 'cancelled', 'timed_out', 'lost', 'missed', 'recovered'] as const
export type EventKind = (typeof eventKinds)[number]

export const channelName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 characters of A-Z a-z 0-9 . _ -')

/** Names a message to one channel; 15 digits. */
export const deliveryId = z.string().regex(/^\d{15}$/, 'must be 15 digits')

export const channelTypes = ['webhook', 'email', 'slack'] as const
export type ChannelType = (typeof channelTypes)[number]

/** Who is told of what. Conditions that are absent hold; with none all is told. In patterns `*` stands for any characters. */
export interface NotificationRule {
  readonly events?: readonly EventKind[] | undefined
  readonly schedules?: readonly string[] | undefined
  readonly jobs?: readonly string[] | undefined
  readonly channels: readonly string[]
}

export const deliveryStates = ['pending', 'given_up'] as const

/** The body of a webhook, and what the others make their text of. */
export const eventView = z.object({
  type: z.string().describe('`run.failed`, `schedule.missed`, `run.recovered`, `run.repeated`, `test`, …'),
  timestamp: z.string(),
  data: z.object({
    text: z.string().describe('In one line.'),
    job: z.string().optional(),
    schedule: z.string().optional(),
    run: z.string().optional(),
    scheduledAt: z.string().optional(),
    attempt: z.number().optional(),
    error: z.string().optional(),
    reason: z.string().optional(),
    by: z.string().optional(),
    count: z.number().optional().describe('Times that were missed; ends before a recovery.'),
    since: z.string().optional(),
    repeats: z
      .record(z.string(), z.number())
      .optional()
      .describe('How often each kind was not told of singly.'),
    url: z.string().optional().describe('Where the run is shown.'),
  }),
})
export type EventView = z.infer<typeof eventView>

export const deliveryRow = z.object({
  id: deliveryId,
  event: z.string().describe('Its id, the same for every channel and every try.'),
  channel: z.string(),
  state: z.enum(deliveryStates),
  type: z.string(),
  text: z.string(),
  createdAt: z.string(),
  tries: z.number().int(),
  nextAt: z.string().optional().describe('Not tried again before then.'),
  givenUpAt: z.string().optional(),
  error: z.string().optional().describe('Of the last try.'),
})
export type DeliveryRow = z.infer<typeof deliveryRow>

export const deliveryView = deliveryRow.extend({ body: eventView })
export type DeliveryView = z.infer<typeof deliveryView>

export const deliveryList = z.object({
  deliveries: z.array(deliveryRow).describe('Waiting ones: what is due first; given up: the newest first.'),
  more: z.boolean().describe('There are more than these.'),
})
export type DeliveryList = z.infer<typeof deliveryList>

export const channelView = z.object({
  name: z.string(),
  type: z.enum(channelTypes).optional().describe('Absent: it is not configured any more.'),
  target: z.string().optional().describe('Where it leads to, without what is secret of that.'),
  waiting: z.number().int().describe('Messages that are not delivered yet, 1,000 at most.'),
  failing: z
    .object({ since: z.string(), error: z.string(), nextTryAt: z.string() })
    .optional()
    .describe('As this server sees it.'),
})
export type ChannelView = z.infer<typeof channelView>
export const channelList = z.object({ channels: z.array(channelView).describe('By name.') })

export const testAnswer = z.object({
  delivered: z.boolean(),
  error: z.string().optional(),
  ms: z.number().describe('How long it took.'),
})
export type TestAnswer = z.infer<typeof testAnswer>
