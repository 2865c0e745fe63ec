/**
 * What an agent publishes about itself for the commands beside it, one file an agent.
 *
 * ```
 * joining ──▶ waiting ──▶ holding ──▶ stopping ──▶ (no file)
 *    └───────────┴───────────┴── without being asked ──▶ ended
 * ```
 *
 * An agent that ends as it was asked to, its place gone for certain, leaves no file. Every other end is left as a record
 * (`ended`) for the next `wait` or `stop` of its queue, so that a lost turn is never passed over in silence.
 */
import { z } from 'zod'
import { memberView, queueName } from '../api.ts'

/** Also a file's name. */
export const agentId = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 characters of A-Z a-z 0-9 _ -')

/** Why an agent ended. */
export const endReasons = ['asked', 'max_hold', 'process_gone', 'lost', 'failed'] as const

export const agentEnd = z.object({
  why: z.enum(endReasons),
  /** What became of the place: `unconfirmed` when the server could not be told, so that it lapses by itself. */
  place: z.enum(['released', 'withdrawn', 'gone', 'unconfirmed']),
  message: z.string(),
})
export type AgentEnd = z.infer<typeof agentEnd>

const deadline = z.object({ at: z.number(), wallAt: z.number() })

export const agentState = z.object({
  id: agentId,
  queue: queueName,
  pid: z.number().int(),
  /** Of the process, so that another one with the same id is not taken for it. */
  born: z.string().optional(),
  /** Where it serves `comms.QueueService`. */
  address: z.string(),
  state: z.enum(['joining', 'waiting', 'holding', 'stopping', 'ended']),
  ttlMs: z.number(),
  startedAt: z.string(),
  log: z.string(),
  /** The member's id in the queue, as `turn show` lists it. */
  member: z.string().optional(),
  ticket: z.number().int().optional(),
  fence: z.number().int().optional(),
  waitedMs: z.number().optional(),
  /** Place in the line right after joining; 0 when the turn was free. */
  positionAtJoin: z.number().int().optional(),
  /** Until when the turn may be relied on, on both clocks of this machine; a beat moves it. */
  heldUntil: deadline.optional(),
  /** The server's last answer while waiting, and when it came (monotonic ms). */
  view: memberView.optional(),
  viewAt: z.number().optional(),
  /** The server cannot be reached: why, and since when (monotonic ms). */
  trouble: z.object({ message: z.string(), since: z.number() }).optional(),
  end: agentEnd.optional(),
})
export type AgentState = z.infer<typeof agentState>

/** What changes while an agent lives. */
export type AgentProgress = Pick<
  AgentState,
  | 'state'
  | 'member'
  | 'ticket'
  | 'fence'
  | 'waitedMs'
  | 'positionAtJoin'
  | 'heldUntil'
  | 'view'
  | 'viewAt'
  | 'trouble'
>
