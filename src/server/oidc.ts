/**
 * OIDC tokens in a server: the verifier of `auth.oidc`, and what happens with tokens as metrics and log lines. The audit log
 * names the repository and ref; the line here, under the same name, says which run it was.
 */
import { Counter, type Registry } from 'prom-client'
import { textClaim } from './auth/oidc/rules.ts'
import type { Clock } from '../kernel/clock.ts'
import type { OidcEvent, OidcVerifier } from './auth/oidc/verifier.ts'
import type { Config } from './config/schema.ts'
import type { Logger } from './logger.ts'

const RUN_CLAIMS = ['run_id', 'run_attempt', 'workflow_ref', 'event_name', 'actor'] as const
const MAX_LOGGED = 300

interface OidcContext {
  readonly registry: Registry
  readonly clock: Clock
  readonly logger: Logger
}

/** The verifier, if the configuration names any issuer; the cryptography loads only then. */
export async function openOidc(
  { auth: { oidc: issuers } }: Pick<Config, 'auth'>,
  { registry, clock, logger }: OidcContext,
): Promise<OidcVerifier | undefined> {
  if (issuers === undefined) return undefined
  const { createOidcVerifier } = await import('./auth/oidc/verifier.ts')
  return createOidcVerifier({ issuers, clock, onEvent: oidcObserver(registry, logger) })
}

function oidcObserver(registry: Registry, logger: Logger): (event: OidcEvent) => void {
  const tokens = new Counter({
    name: 'signalbox_oidc_tokens_total',
    help: 'OIDC tokens that were verified, by outcome; a token that is known already is not counted again.',
    labelNames: ['outcome'],
    registers: [registry],
  })
  const reads = new Counter({
    name: 'signalbox_oidc_key_reads_total',
    help: 'Times that an OIDC issuer was asked for its keys, by outcome.',
    labelNames: ['outcome'],
    registers: [registry],
  })
  return (event) => {
    if (event.kind === 'keys') {
      const { issuer, failure } = event
      reads.inc({ outcome: failure === undefined ? 'ok' : 'failed' })
      if (failure !== undefined)
        logger.warn({ issuer }, `the keys of an OIDC issuer cannot be read: it ${failure}`)
    } else if (event.kind === 'refused') {
      tokens.inc({ outcome: event.code })
    } else {
      tokens.inc({ outcome: 'accepted' })
      logger.info({ principal: event.name, ...runOf(event.claims) }, 'OIDC token accepted')
    }
  }
}

function runOf(claims: Parameters<typeof textClaim>[0]): Record<string, string> {
  return Object.fromEntries(
    RUN_CLAIMS.flatMap((name) => {
      const value = textClaim(claims, name)
      return value === undefined ? [] : [[name, value.slice(0, MAX_LOGGED)]]
    }),
  )
}
