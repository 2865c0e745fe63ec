/** Signing in with the ID token that GitHub gives a job: when, and for whom. */
import { setSecret } from '@actions/core'
import { githubIdTokens, offersIdTokens } from '../../src/client/github-oidc.ts'
import type { TokenSource } from '../../src/client/transport.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { systemRandom } from '../../src/kernel/id.ts'
import { input, type Env } from './inputs.ts'

const OFF = 'off'

/**
 * The audience to ask for; undefined: no ID token. One that is named (the input, or SIGNALBOX_OIDC_AUDIENCE of the
 * environment) is asked for also where the job may not, so that the message says what is missing.
 */
export function idTokenAudience(url: string | undefined, env: Env): string | undefined {
  const audience = input('audience') ?? (env['SIGNALBOX_OIDC_AUDIENCE'] || undefined)
  if (audience !== undefined) return audience === OFF ? undefined : audience
  return offersIdTokens(env) && url !== undefined && URL.canParse(url) ? new URL(url).origin : undefined
}

/** Masked in the log. @throws SignalboxError `unauthenticated` where the job may not have one */
export function idTokens(audience: string, env: Env): TokenSource {
  return githubIdTokens({ env, audience, clock: systemClock, random: systemRandom, onToken: setSecret })
}
