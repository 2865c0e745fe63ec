/** The lease server, and who the job is to it. */
import { createClient, type Client } from '../../../src/client/client.ts'
import { systemClock } from '../../../src/kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../../../src/kernel/error.ts'
import { systemRandom } from '../../../src/kernel/id.ts'
import type { LeasesApi } from '../../../src/leases/api.ts'
import { idTokenAudience, idTokens } from '../../shared/id-token.ts'
import { input, maskCredential, type Env } from '../../shared/inputs.ts'
import type { Priority } from './priority.ts'

export type Leases = Pick<LeasesApi, 'acquire' | 'release'>

export interface LeaseServer {
  readonly leases: Leases
  close(): Promise<void>
}

/** @throws SignalboxError `invalid_argument`, `unauthenticated`; nothing is connected yet */
export function leaseServer(url: string, env: Env): LeaseServer {
  const base = { url, clock: systemClock, random: systemRandom }
  const [auth, token] = [input('auth'), env['SIGNALBOX_TOKEN'] || undefined]
  if (auth !== undefined) return opened(createClient({ ...base, authorization: auth }), 'check auth')
  if (token !== undefined) return opened(createClient({ ...base, token }), 'check SIGNALBOX_TOKEN')
  const audience = idTokenAudience(url, env)
  if (audience === undefined) {
    const hint = "give auth, or the job 'permissions: id-token: write' where the server has auth.oidc"
    return opened(createClient(base), hint)
  }
  const hint = `the job signed in with an ID token of GitHub for the audience ${audience}; to send none, write audience: off`
  return opened(createClient({ ...base, token: idTokens(audience, env) }), hint)
}

/** Hides what the environment has of credentials; before anything else, so that no message can repeat one. */
export function maskSecrets(env: Env): void {
  maskCredential(input('auth'))
  for (const secret of [input('token'), env['SIGNALBOX_TOKEN'] || undefined]) maskCredential(secret)
}

/** Leases asked for with the priority as it is at the moment of each question; without one, nothing is asked. */
export function following({ acquire, release }: Leases, priority: Priority): Leases {
  let first = true
  return {
    async acquire(provider, request, signal) {
      if (!first) await priority.renew(signal)
      first = false
      return acquire(provider, { ...request, priority: priority.current }, signal)
    },
    release: (provider, request, signal) =>
      release(provider, { ...request, priority: priority.current }, signal),
  }
}

function opened(client: Client, hint: string): LeaseServer {
  const { leases } = client
  return {
    leases: {
      acquire: (...call) => leases.acquire(...call).catch((error: unknown) => refuse(error, hint)),
      release: (...call) => leases.release(...call).catch((error: unknown) => refuse(error, hint)),
    },
    close: () => client.close(),
  }
}

/** Who is turned away learns as whom. */
function refuse(error: unknown, hint: string): never {
  if (!isSignalboxError(error, 'unauthenticated')) throw error
  throw new SignalboxError(error.code, `${error.message}; ${hint}`, { cause: error, details: error.details })
}
