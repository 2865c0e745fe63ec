/**
 * Providers, their requests and their history as the JSON API beside the wire gives them, under `/api/v1/leases`: for the
 * console, for scripts and for `lease simulate`. Times are RFC 3339 in UTC.
 */
import { z } from 'zod'

/** A provider in one text; see `providerLabel`. */
export const providerText = z
  .string()
  .max(1_000)
  .regex(/^[^/]+\/[^/@]+@.+$/s, 'must be OWNER/REPO@BASE, such as acme/shop@main')

export const leaseConfigView = z.object({
  stabilizeMs: z.number().describe('How long nothing new may have come before the highest is granted.'),
  ttlMs: z.number().describe('A request that was silent for longer is forgotten.'),
  expectedCount: z.number().int().describe('This many known requests are granted without the window.'),
  delayCount: z.number().int().describe('Calls of the highest answered `pending` before its grant.'),
  maxLeaseMs: z.number().describe('A holder that has not released after this long is taken for dead.'),
  coolDownMs: z.number().describe('How long nobody is granted after a holder was taken for dead.'),
})

const ticking = z
  .object({ text: z.string(), at: z.string() })
  .optional()
  .describe('The reason with `{left}` in place of the time left until `at`, for a clock of one’s own.')

const facts = z.object({
  sha: z.string(),
  ref: z.string().optional(),
  pullRequest: z.number().int().optional(),
  priority: z
    .number()
    .int()
    .describe('How many commits it is ahead of the base; the highest contains the others.'),
})

export const leaseRequestView = facts.extend({
  state: z.enum(['waiting', 'holding', 'succeeded', 'completed']),
  joinedAt: z.string(),
  seenAt: z.string().describe('Its last call, as far as it was written down.'),
  reason: z.string().describe('Why it waits, or what becomes of it, in a sentence.'),
  brief: z.string().describe('The same for somebody who has read the reason of the provider.'),
  ticking,
})
export type LeaseRequestView = z.infer<typeof leaseRequestView>

export const leaseProviderView = z.object({
  provider: providerText,
  now: z.string().describe('When this was so, by the clock that decides; count down from here.'),
  phase: z
    .enum(['open', 'held', 'draining', 'failover'])
    .describe('open: gathering requests; held; draining: after a success; failover: after a failure.'),
  batch: z.number().int(),
  reason: z.string().describe('What everybody waits for, in a sentence.'),
  ticking,
  holder: facts
    .extend({
      fence: z.number().int().describe('Greater than every fence granted before by this provider.'),
      grantedAt: z.string(),
      expiresAt: z.string(),
      renews: z.boolean().describe('It says how long it wants the lease, and extends it.'),
      releasedAt: z.string().optional().describe('It succeeded; its batch is draining.'),
    })
    .optional(),
  stackedPullRequests: z.array(z.number().int()).describe('Those that the holder contains, and its own.'),
  requests: z.array(leaseRequestView).describe('Known requests, highest priority first.'),
  gate: z
    .object({
      open: z.boolean().describe('Nothing but its next calls keeps the highest from its grant.'),
      known: z.number().int(),
      expected: z.number().int(),
      windowEndsAt: z.string().optional(),
      coolDownEndsAt: z.string().optional(),
      callsLeft: z.number().int().describe('Calls of the highest that will still be answered `pending`.'),
    })
    .optional()
    .describe(
      'What stands between the highest request and its grant; absent while somebody holds or nobody waits.',
    ),
  failed: z
    .object({
      sha: z.string(),
      ref: z.string().optional(),
      pullRequest: z.number().int().optional(),
      at: z.string(),
      expired: z.boolean().describe('It was taken for dead.'),
    })
    .optional()
    .describe('The last holder of this batch, which failed or was taken for dead.'),
  lastFence: z.number().int(),
  updatedAt: z.string(),
  config: leaseConfigView,
})
export type LeaseProviderView = z.infer<typeof leaseProviderView>

export const leaseListView = z.object({
  now: z.string(),
  providers: z.array(leaseProviderView),
  next: providerText.optional(),
})
export type LeaseListView = z.infer<typeof leaseListView>

export const pastRequestView = facts.extend({
  seq: z.number().int().describe('Requests of a provider are numbered in the order in which they came.'),
  joinedAt: z.string(),
  grantedAt: z.string().optional(),
  endedAt: z.string(),
  fence: z.number().int().optional(),
  as: z
    .enum(['success', 'failure', 'completed', 'withdrawn', 'evicted', 'expired', 'cleared'])
    .describe(
      'success, failure: released; completed: contained in a success; evicted: silent; expired: a holder taken for dead; cleared: by an operator.',
    ),
  batch: z.number().int(),
  config: z.number().int().describe('Which of `configs` was in force at its end.'),
})
export type PastRequestView = z.infer<typeof pastRequestView>

export const leaseHistoryView = z.object({
  provider: providerText,
  requests: z.array(pastRequestView).describe('Newest first, by `seq`.'),
  configs: z.array(leaseConfigView),
  next: z.number().int().optional().describe('`before` of the next page.'),
})
export type LeaseHistoryView = z.infer<typeof leaseHistoryView>

export const clearBody = z.object({
  reason: z.string().trim().min(1).max(500).describe('Stands in the audit log.'),
})
