/**
 * Which rule of `auth.oidc` admits a verified token. Pure.
 *
 * Invariants: the first rule that holds decides; every condition of a rule must hold, and one on a claim that the token lacks
 * does not; owner and name of a repository are compared apart, so `octo-org/*` never admits `octo-org-evil/x`; upper and lower
 * case differ.
 */
import type { OidcRule } from '../../config/oidc-values.ts'

/** The claims of a verified token. */
export type Claims = Readonly<Record<string, unknown>>

/** Conditions that are patterns over parts between slashes. */
const patterned = ['ref', 'environment', 'workflow_ref', 'event_name'] as const
/** Conditions that are exact. The ids are never given to another owner or repository. */
const exact = ['repository_owner', 'repository_id', 'repository_owner_id'] as const

export function firstMatch(rules: readonly OidcRule[], claims: Claims): OidcRule | undefined {
  return rules.find((rule) => holds(rule, claims))
}

/** A claim that is text; undefined for any other. */
export function textClaim(claims: Claims, name: string): string | undefined {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined
  return typeof value === 'string' && value !== '' ? value : undefined
}

function holds(rule: OidcRule, claims: Claims): boolean {
  return (
    (rule.repository === undefined || ownsRepository(rule.repository, textClaim(claims, 'repository'))) &&
    exact.every((name) => rule[name] === undefined || rule[name] === textClaim(claims, name)) &&
    patterned.every((name) => rule[name] === undefined || matches(rule[name], textClaim(claims, name)))
  )
}

function ownsRepository(wanted: string, repository: string | undefined): boolean {
  const [wantedOwner, wantedName] = wanted.split('/')
  const [owner, name, ...rest] = repository?.split('/') ?? []
  if (owner === undefined || name === undefined || name === '' || rest.length > 0) return false
  return owner === wantedOwner && (wantedName === '*' || name === wantedName)
}

/** `*` stands for one whole part, never for an empty one; a last `**` for one or more. */
function matches(pattern: string, text: string | undefined): boolean {
  if (text === undefined) return false
  const wanted = pattern.split('/')
  const parts = text.split('/')
  const open = wanted.at(-1) === '**'
  if (open ? parts.length < wanted.length : parts.length !== wanted.length) return false
  return parts.every((part, i) => {
    const want = i < wanted.length ? wanted[i] : '**'
    return want === '*' || want === '**' ? part !== '' : part === want
  })
}
