/**
 * Who a verified token stands for, as lists, logs and the audit log name them: `github:octo-org/app@refs/heads/main`; for other
 * issuers than github.com's with their host instead of `github`.
 *
 * Invariant: a name is printable and bounded, whatever the claims hold, so nobody can write lines or colours into a log.
 */
import type { Principal } from '../../../ports/access.ts'
import { GITHUB_ISSUER, type OidcRule } from '../../config/oidc-values.ts'
import { textClaim, type Claims } from './rules.ts'

const MAX_NAME = 200

export function principalOf(issuer: string, claims: Claims, { role, scopes = [] }: OidcRule): Principal {
  const from = namePrefix(issuer)
  const ref = textClaim(claims, 'ref')
  const name = printable(`${from}${repositoryOf(claims)}${ref === undefined ? '' : `@${ref}`}`)
  return Object.freeze({ name, kind: 'oidc', role, scopes })
}

/** What the names of an issuer's callers begin with: `github:`. */
export function namePrefix(issuer: string): string {
  const { host } = new URL(issuer)
  return host === new URL(GITHUB_ISSUER).host ? 'github:' : `${host}:`
}

/** What a refusal says of a token that no rule admits. */
export function shownRepository(claims: Claims): string {
  const facts = ['ref', 'environment', 'workflow_ref', 'event_name'].flatMap((name) => {
    const value = textClaim(claims, name)
    return value === undefined ? [] : [`${name} ${printable(value)}`]
  })
  const where = facts.length === 0 ? '' : ` (${facts.join(', ')})`
  return `the repository ${printable(repositoryOf(claims))}${where}`
}

/** One line of visible characters: no controls, no marks that turn the direction of text. */
export function printable(text: string): string {
  const visible = text.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '?')
  return visible.length > MAX_NAME ? `${visible.slice(0, MAX_NAME - 1)}…` : visible
}

function repositoryOf(claims: Claims): string {
  return textClaim(claims, 'repository') ?? textClaim(claims, 'sub') ?? 'unknown'
}
