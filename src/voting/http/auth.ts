/**
 * Who may write topics: whoever has the API key, in the body's `api_key`, in `X-API-Key` or as a bearer token. Compared by digest,
 * in constant time.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'

const BEARER = /^bearer +(\S+)$/i

/** A hook for routes that need the key. @param key undefined: everybody may (`--dev`) */
export function requireKey(key: string | undefined) {
  const expected = key === undefined ? undefined : digest(key)
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> => {
    if (expected === undefined) return undefined
    const given = candidates(request).map((text) => timingSafeEqual(digest(text), expected))
    if (given.includes(true)) return undefined
    return reply.code(401).header('www-authenticate', 'Bearer').send({ detail: 'Not authenticated' })
  }
}

function candidates({ headers, body }: FastifyRequest): readonly string[] {
  const inBody = (body as { readonly api_key?: unknown } | null | undefined)?.api_key
  const all = [inBody, headers['x-api-key'], BEARER.exec(headers.authorization ?? '')?.[1]]
  return all.filter((text) => typeof text === 'string')
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
