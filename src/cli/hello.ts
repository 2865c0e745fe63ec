/** The page of a server that answers everybody (`/healthz`): which version it is, and what its clock says. */
import { Agent } from 'undici'
import { parseJson, timeoutFailure, transportFailure } from '../client/failure.ts'
import type { Clock } from '../kernel/clock.ts'
import { SignalboxError } from '../kernel/error.ts'
import { version as ownVersion } from '../version.ts'
import type { Hello } from './context.ts'

export interface ServerPlace {
  readonly url?: string
  readonly socketPath?: string
}

const LIMIT_MS = 10_000
const MAX_ANSWER_BYTES = 64 * 1024

/**
 * Asks once.
 * @throws SignalboxError `unavailable` when nobody answers, or somebody else
 */
export async function hello(
  { url = 'http://localhost', socketPath }: ServerPlace,
  clock: Clock,
): Promise<Hello> {
  const { origin, pathname } = new URL(url)
  const facts = { address: socketPath ?? url.replace(/\/$/, ''), write: false }
  const hangUp = new AbortController()
  const timer = clock.timer(LIMIT_MS, () => hangUp.abort())
  const agent = new Agent({
    connect: socketPath === undefined ? {} : { socketPath },
    maxResponseSize: MAX_ANSWER_BYTES,
  })
  try {
    const path = `${pathname.replace(/\/$/, '')}/healthz`
    const headers = { accept: 'application/json' }
    const response = await agent.request({ origin, path, method: 'GET', headers, signal: hangUp.signal })
    const { name, version } = (parseJson(await response.body.text()) ?? {}) as Record<string, unknown>
    if (name !== 'signalbox' || typeof version !== 'string') {
      const what = `what answers at ${facts.address} is not Signalbox (status ${response.statusCode}); check the address`
      throw new SignalboxError('unavailable', what)
    }
    const date = Date.parse(String(response.headers['date']))
    return { version, ownVersion, now: Number.isNaN(date) ? undefined : date }
  } catch (error) {
    if (error instanceof SignalboxError) throw error
    throw hangUp.signal.aborted ? timeoutFailure(LIMIT_MS, facts) : transportFailure(error, facts)
  } finally {
    timer.cancel()
    await agent.destroy()
  }
}
