/**
 * The lease routes as the API's description shows them. They are text for people and generators: the routes themselves stand
 * behind a wildcard and read their bodies leniently (`http-wire.ts`), so nothing here checks anything.
 */
import { z } from 'zod'

export interface DescribedLeaseRoute {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly url: string
  readonly schema: object
}

const params = z.object({
  owner: z.string(),
  repo: z.string(),
  baseRef: z.string().describe('Everything up to the verb; slashes may be written plain or as %2F.'),
})

const request = z.object({
  head_sha: z.string().describe('The commit at the head of the merge group.'),
  head_ref: z
    .string()
    .optional()
    .describe('`gh-readonly-queue/<base>/pr-<number>-<hex>`, with or without `refs/heads/`.'),
  priority: z.number().int().min(1).describe('Commits ahead of the base: the highest contains the others.'),
})
const acquireBody = request.extend({
  lease_seconds: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('The lease ends after this long unless acquire is repeated. Default: the maximum.'),
})
const releaseBody = request.extend({
  status: z.enum(['success', 'failure', 'cancelled', 'timed_out', 'skipped']),
})

const known = request.extend({ status: z.string() })
const stacked = z.array(z.object({ number: z.number().int() }))
const answer = known.extend({
  status: z.enum(['pending', 'acquired', 'completed', 'success', 'failure']),
  request: known.describe('The same once more, as clients of mq-lease-service read it.'),
  stacked_pull_requests: stacked
    .optional()
    .describe('With `acquired`: the pull requests that the holder contains, itself included.'),
  fence: z.number().int().optional().describe('Grows with each grant.'),
  expires_at: z.string().optional(),
  lease_seconds: z.number().optional(),
  reason: z.string().optional().describe('Why it waits, in a sentence.'),
  retry_after: z.number().int().optional().describe('Seconds, as in `Retry-After`.'),
})

const provider = z.object({
  id: z.string(),
  owner: z.string(),
  name: z.string(),
  base_ref: z.string(),
  phase: z.enum(['open', 'held', 'draining', 'failover']),
  acquired: known.loose().nullable(),
  known: z.array(known.loose()).describe('Ascending by priority.'),
  config: z.object({
    stabilize_duration: z.number(),
    ttl: z.number(),
    expected_request_count: z.number().int(),
    delay_assignment_count: z.number().int(),
    max_lease_seconds: z.number(),
    cool_down_seconds: z.number(),
  }),
  last_updated_at: z.string(),
  last_fence: z.number().int(),
  reason: z.string(),
})

const problem = z
  .looseObject({ error: z.string(), error_context: z.unknown() })
  .describe(
    '404 unknown provider, 422 no JSON, 400 invalid or not the holder, 409 a lease is held or being settled, 503 ask again.',
  )

const shared = { tags: ['leases'], security: [{ token: [] }, { basic: [] }] }
const path = '/:owner/:repo/:baseRef'

/** All of them. */
export const describedLeaseRoutes: readonly DescribedLeaseRoute[] = [
  {
    method: 'GET',
    url: '/',
    schema: {
      ...shared,
      operationId: 'leaseProviders',
      summary: 'All lease providers by id; a browser is led to the console',
      response: { 200: z.record(z.string(), provider), default: problem },
    },
  },
  {
    method: 'POST',
    url: `${path}/acquire`,
    schema: {
      ...shared,
      operationId: 'acquireLease',
      summary: 'Ask for the lease, and ask again until it is acquired or completed; by the holder: renew it',
      params,
      body: acquireBody,
      response: { 200: answer, default: problem },
    },
  },
  {
    method: 'POST',
    url: `${path}/release`,
    schema: {
      ...shared,
      operationId: 'releaseLease',
      summary: 'Give the lease back with the outcome; by a waiter: withdraw',
      params,
      body: releaseBody,
      response: { 200: answer, default: problem },
    },
  },
  {
    method: 'GET',
    url: path,
    schema: {
      ...shared,
      operationId: 'leaseProvider',
      summary: 'One lease provider: its requests, its holder, and why they wait',
      params,
      response: { 200: provider, default: problem },
    },
  },
  {
    method: 'DELETE',
    url: path,
    schema: {
      ...shared,
      operationId: 'clearLease',
      summary: 'Forget all requests of a provider, its holder included',
      params,
      response: { 200: provider, default: problem },
    },
  },
]
