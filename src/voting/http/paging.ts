/** Pages of a list: the body is the list alone, as in the reference; headers say where the next page is. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { PAGE_LIMIT } from '../api.ts'
import type { LedgerPage } from '../ledger.ts'

const CURSOR = /^[\w./:-]{1,1024}$/

export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(PAGE_LIMIT).optional().describe(`Default ${PAGE_LIMIT}.`),
  cursor: z
    .string()
    .regex(CURSOR, 'is not a cursor')
    .optional()
    .describe('The header X-Next-Cursor of the page before.'),
}

/** Names the next page, if there is one: in `X-Next-Cursor`, and as a link. @returns the list */
export function sendPage<T>(
  request: FastifyRequest,
  reply: FastifyReply,
  { entries, next }: LedgerPage<T>,
): T[] {
  if (next !== undefined) {
    const [path = '/', query] = request.url.split('?', 2)
    const parameters = new URLSearchParams(query)
    parameters.set('cursor', next)
    void reply.header('x-next-cursor', next).header('link', `<${path}?${parameters.toString()}>; rel="next"`)
  }
  return [...entries]
}

/** `true` and `1` are true, as in the reference. */
export const flagText = z
  .enum(['true', 'false', '1', '0', 'True', 'False'])
  .transform((text) => text === '1' || text.toLowerCase() === 'true')
