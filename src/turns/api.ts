/**
 * What a turn queue offers to its faces (HTTP, CLI, library): the vocabulary and one interface, `TurnsApi`, which the
 * service implements next to a store and the HTTP client implements at a distance. Code that takes turns is written
 * against this interface alone.
 *
 * A *turn queue* has *members*: *waiters* in ticket order within their priority, and at most `permits` *holders*. Each
 * grant carries a *fence*, a number that only ever grows per queue. A member proves that it lives by beats; one that
 * is silent for its hold TTL may be evicted.
 */
import { z } from 'zod'

/** 1–128 of letters, digits and `_ . / : @ -`; not `.` or `..`, which proxies take for steps in a path. */
export const queueName = z
  .string()
  .regex(/^(?!\.{1,2}$)[A-Za-z0-9._/:@-]{1,128}$/, 'must be 1 to 128 characters of A-Z a-z 0-9 . _ / : @ -')

/** Made by the caller, random per join; the join is idempotent by it. */
export const memberId = z
  .string()
  .regex(/^[A-Za-z0-9_-]{8,64}$/, 'must be 8 to 64 characters of A-Z a-z 0-9 _ -')

/** Permits are bounded because the control record lists the holders. */
export const MAX_PERMITS = 500
/** Higher goes first; within one priority, ticket order. */
export const MAX_PRIORITY = 99
export const DEFAULT_PRIORITY = 50

export const DEFAULT_TTL_MS = 45_000
export const MAX_TTL_MS = 86_400_000
/** Time between SIGTERM and SIGKILL of a command whose turn is ending. */
export const DEFAULT_STOP_GRACE_MS = 5_000

/** Display only: repository, run id, CI job, actor, url. */
export const labels = z
  .record(z.string().min(1).max(64), z.string().max(256))
  .refine((l) => Object.keys(l).length <= 16, 'at most 16 labels')

export const joinBody = z.object({
  id: memberId.describe(
    'Made by the caller, random per join. Repeating a join with the same id changes nothing.',
  ),
  permits: z
    .number()
    .int()
    .min(1)
    .max(MAX_PERMITS)
    .optional()
    .describe(
      'How many may hold at once. Set when the queue is first used (default 1); a join that states another number is refused.',
    ),
  priority: z.number().int().min(0).max(MAX_PRIORITY).optional().describe('Higher goes first. Default 50.'),
  ttlMs: z
    .number()
    .int()
    .min(1_000)
    .max(MAX_TTL_MS)
    .optional()
    .describe('Hold TTL: a member silent for this long may be evicted. Default 45000.'),
  labels: labels.optional().describe('Shown to people, never used in a decision.'),
  waitMs: z
    .number()
    .int()
    .min(0)
    .max(60_000)
    .optional()
    .describe('Wait up to this long for the turn before answering.'),
})

export const waitBody = z.object({
  waitMs: z
    .number()
    .int()
    .min(0)
    .max(60_000)
    .optional()
    .describe('Answer at the latest after this long. Default 0: at once.'),
  seenPosition: z
    .number()
    .int()
    .min(0)
    .optional()
    .describe('Answer earlier when the position differs from this one.'),
})

export const beatBody = z.object({ fence: z.number().int().min(1).describe('The fence of the grant.') })

const memberState = z.enum(['waiting', 'holding', 'left', 'lost'])

export const memberView = z.object({
  queue: queueName,
  id: memberId,
  /** `left`: gone by its own wish. `lost`: it held and was silent for a TTL, or an operator evicted it. */
  state: memberState,
  ticket: z.number().int().describe('Order of joining; strictly increasing per queue.'),
  priority: z.number().int(),
  permits: z.number().int(),
  ttlMs: z.number().int(),
  fence: z
    .number()
    .int()
    .optional()
    .describe('Present while holding: greater than every fence granted before on this queue.'),
  position: z.number().int().describe('0 while holding, 1 for the next in line.'),
  positionExact: z.boolean().describe('False beyond 100, where the position is an estimate.'),
  inWindow: z
    .boolean()
    .describe('Near the front: poll at least once per beat interval, or be taken for dead.'),
  pollMs: z.number().int().describe('Ask again, or beat, at least this often.'),
  estimatedWaitMs: z
    .number()
    .int()
    .optional()
    .describe('From the average of past holds; absent while there is none.'),
  holders: z
    .array(
      z.object({
        id: memberId,
        fence: z.number().int(),
        sinceMs: z.number().int(),
        labels: labels.optional(),
      }),
    )
    .max(3)
    .describe('Up to three of those who hold now; sinceMs: for how long.'),
  queueState: z
    .enum(['paused', 'draining'])
    .optional()
    .describe('Present when the queue is not open: paused grants nothing, draining takes no new members.'),
  reason: z.string().optional().describe('Why the queue is not open, or why an operator ended this member.'),
  elapsedMs: z
    .number()
    .describe(
      'How long the server had had this request when the answer was decided; a deadline counts from sending time + this.',
    ),
})
export type MemberView = z.infer<typeof memberView>

const note = z.object({ by: z.string(), at: z.string(), reason: z.string() })

export const holderView = z.object({
  id: memberId,
  ticket: z.number().int(),
  fence: z.number().int(),
  priority: z.number().int(),
  joinedAt: z.string(),
  grantedAt: z.string(),
  ttlMs: z.number().int(),
  labels,
  ending: note.optional().describe('An operator has ended it; its permit is free when it has left.'),
})
export const waiterView = z.object({
  id: memberId,
  ticket: z.number().int(),
  priority: z.number().int(),
  position: z.number().int(),
  joinedAt: z.string(),
  ttlMs: z.number().int(),
  inWindow: z.boolean(),
  labels,
})
export const queueView = z.object({
  queue: queueName,
  permits: z.number().int(),
  state: z.enum(['open', 'paused', 'draining']),
  note: note.optional().describe('Why it is not open.'),
  holders: z.array(holderView),
  waiters: z.array(waiterView).describe('In the order in which they will be granted; at most `limit`.'),
  moreWaiters: z.boolean().describe('More wait than are listed.'),
  lastTicket: z.number().int(),
  lastFence: z.number().int(),
  averageHoldMs: z.number().int().optional(),
})
export type QueueView = z.infer<typeof queueView>

export const queueSummary = z.object({
  queue: queueName,
  permits: z.number().int(),
  state: z.enum(['open', 'paused', 'draining']),
  holding: z.number().int(),
  waiting: z.number().int(),
})
export type QueueSummary = z.infer<typeof queueSummary>

export type JoinRequest = z.infer<typeof joinBody>
export type WaitRequest = z.infer<typeof waitBody>

/** What `leave` found: `released` and `withdrawn` name what it ended; `gone` is an answer, not an error. */
export const leaveView = z.object({ outcome: z.enum(['released', 'withdrawn', 'gone']) })
export type LeaveView = z.infer<typeof leaveView>

export const beatView = z.object({ elapsedMs: z.number() })

/** Every change by an operator has a reason; it is shown to those it concerns and stands in the audit log. */
export const reason = z.string().trim().min(1).max(500)
export const actBody = z.object({ reason })
export const resumeBody = z.object({ reason: reason.optional() })
export const permitsBody = z.object({ permits: z.number().int().min(1).max(MAX_PERMITS), reason })
export const evictBody = z.object({
  reason,
  force: z
    .boolean()
    .optional()
    .describe(
      'Free the permit of a holder at once, though its work may still run. Only the fence protects you then.',
    ),
})

export const changedView = z.object({ changed: z.boolean().describe('False: it was so already.') })
export const evictView = z.object({
  /** `ending`: a holder that must stop; its permit is free when it has left, or was silent for a TTL. */
  outcome: z.enum(['evicted', 'ending', 'gone']),
})
export type EvictView = z.infer<typeof evictView>

export const pastHoldView = z.object({
  id: memberId,
  ticket: z.number().int(),
  fence: z.number().int(),
  priority: z.number().int(),
  joinedAt: z.string(),
  grantedAt: z.string(),
  endedAt: z.string(),
  heldMs: z.number().int(),
  /** `lost`: silent for a whole TTL; `evicted`: by an operator. */
  as: z.enum(['released', 'lost', 'evicted']),
  labels,
  note: note.optional(),
})
export type PastHoldView = z.infer<typeof pastHoldView>
export const historyView = z.object({ holds: z.array(pastHoldView), next: z.number().int().optional() })
export type HistoryView = z.infer<typeof historyView>

/** Why, and by whom; over HTTP the server knows who calls. */
export interface Act {
  readonly reason: string
  readonly by?: string
}

/** What operators do. All calls may be repeated; each change is in the audit log. @throws `not_found` for an unknown queue */
export interface TurnsOperations {
  /** Opens the queue, pauses it (no joins, no grants) or drains it (no joins). */
  setState(queue: string, state: 'open' | 'paused' | 'draining', act: Act): Promise<{ changed: boolean }>
  /** Makes the queue if need be. Lowering the number revokes nobody. */
  setPermits(queue: string, permits: number, act: Act): Promise<{ changed: boolean }>
  evict(queue: string, id: string, act: Act & { readonly force?: boolean }): Promise<EvictView>
  /** Holds that are over, newest first, from before the fence `before`; 30 days are kept. */
  history(
    queue: string,
    options?: { readonly limit?: number; readonly before?: number },
  ): Promise<HistoryView>
}

/** All calls may be repeated after a lost answer. Errors are `SignalboxError`. */
export interface TurnsApi {
  /**
   * Takes the next ticket; answers at once when the turn is granted, else after `waitMs`.
   * @throws `invalid_argument`, `conflict` (another number of permits), `queue_paused`, `turn_lost` (this id held before and was evicted)
   */
  join(queue: string, request: JoinRequest, signal?: AbortSignal): Promise<MemberView>
  /**
   * Waits for the turn; each call is also a beat. A waiter evicted for silence gets its old place back.
   * @throws `not_found` for an id that never joined (or longer than a day ago)
   */
  wait(queue: string, id: string, request: WaitRequest, signal?: AbortSignal): Promise<MemberView>
  /** Proves that a holder lives. @throws `turn_lost`, `not_found` */
  beat(queue: string, id: string, fence: number, signal?: AbortSignal): Promise<{ elapsedMs: number }>
  /** Ends a hold or a wait. With `fence`, ends only that hold. */
  leave(queue: string, id: string, fence?: number, signal?: AbortSignal): Promise<LeaveView>
  /** One queue; at most `limit` waiters (default 100). @throws `not_found` */
  show(queue: string, options?: { readonly limit?: number }): Promise<QueueView>
  /** Queues in the order of their names. */
  list(options?: {
    readonly limit?: number
    readonly after?: string
  }): Promise<{ queues: QueueSummary[]; next?: string }>
}
