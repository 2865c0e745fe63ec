/**
 * The id under which a request is logged and answered: the caller's `x-request-id` if it is one, else our own.
 */
import type { IncomingMessage } from 'node:http'
import type { Random } from '../kernel/id.ts'

/** Ours are a random start and a counter: unique, and cheaper than 120 fresh random bits a request. */
export function requestIds(random: Random): (request: IncomingMessage) => string {
  const start = random.id().slice(0, 12)
  let count = 0
  return ({ headers }) => {
    const given = headers['x-request-id']
    if (typeof given === 'string' && /^[\w.:/+=-]{1,128}$/.test(given)) return given
    return `${start}-${(++count).toString(36)}`
  }
}
