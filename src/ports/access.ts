/**
 * Who may do what: roles and scopes, and what a call demands. Pure; the server finds out who calls and enforces it alike on
 * HTTP, event streams and gRPC.
 *
 * Invariants: what is not allowed is refused (an unknown noun, a missing name, a malformed scope allow nothing); a scope is
 * matched in time linear in pattern × name, whatever the pattern; whoever hands on rights hands on at most their own.
 */

/** Each includes those before it. Viewers read, operators act (also join a queue), admins manage tokens. */
export const roles = ['viewer', 'operator', 'admin'] as const
export type Role = (typeof roles)[number]

export const nouns = ['turns', 'leases', 'messages', 'jobs', 'schedules', 'voting', 'server'] as const
export type Noun = (typeof nouns)[number]

/** Who calls. */
export interface Principal {
  /** As it stands in the audit log. */
  readonly name: string
  readonly kind: 'token' | 'user' | 'oidc' | 'local' | 'anonymous'
  readonly role: Role
  /** `turns:deploy`, `turns:staging/*`, `turns:*`; empty: everything. */
  readonly scopes: readonly string[]
}

/** What a call demands. */
export interface Access {
  readonly role: Role
  readonly noun: Noun
  /** Name of the path parameter that says which queue, provider or token is meant; absent: all of the noun. */
  readonly param?: string
  /** The answer holds only what the caller's scopes allow (`nameFilter`); so any scope of the noun is enough. */
  readonly filtered?: true
}

/** Does `role` include `needed`? */
export function includesRole(role: Role, needed: Role): boolean {
  return roles.indexOf(role) >= roles.indexOf(needed)
}

/**
 * May the principal make this call?
 * @param resource the decoded value of the path parameter `access.param`, exactly as the handler uses it
 */
export function allows(principal: Principal, access: Access, resource?: string): boolean {
  return includesRole(principal.role, access.role) && inScope(principal, access, resource)
}

/** The part of `allows` that concerns scopes. */
export function inScope({ scopes }: Principal, access: Access, resource?: string): boolean {
  if (scopes.length === 0) return true
  const patterns = patternsOf(scopes, access.noun)
  if (access.filtered === true) return patterns.length > 0
  if (access.param === undefined || resource === undefined) return patterns.includes('*')
  return patterns.some((pattern) => matches(pattern, resource))
}

/**
 * Which names of a noun the principal may see, for lists.
 * @example queues.filter((q) => may(q.queue)) // may = nameFilter(request.principal, 'turns')
 */
export function nameFilter({ scopes }: Principal, noun: Noun): (name: string) => boolean {
  if (scopes.length === 0) return () => true
  const patterns = patternsOf(scopes, noun)
  return (name) => patterns.some((pattern) => matches(pattern, name))
}

/**
 * Is all that `wanted` allows also allowed by `granted`? Sound, not complete: a yes is always right. A `*` of the wanted
 * pattern is no character of names, so only a `*` of the granted one can stand for it.
 */
export function covers(granted: readonly string[], wanted: readonly string[]): boolean {
  if (granted.length === 0) return true
  if (wanted.length === 0) return false
  return wanted.every((scope) => {
    const [noun, pattern] = split(scope)
    return patternsOf(granted, noun).some((own) => matches(own, pattern))
  })
}

/** What is wrong with a scope, to follow its quoted text; undefined when nothing is. */
export function scopeProblem(scope: string): string | undefined {
  const [noun, pattern] = split(scope)
  if (!(nouns as readonly string[]).includes(noun)) {
    return `is not a scope; write noun:pattern such as turns:deploy or turns:staging/*, where the noun is one of ${nouns.join(', ')}`
  }
  if (noun === 'server')
    return pattern === '*' ? undefined : 'is not a scope; of the server there is only server:*'
  if (!/^[A-Za-z0-9._/:@*-]{1,128}$/.test(pattern)) {
    return 'is not a scope; the pattern is 1 to 128 characters of A-Z a-z 0-9 . _ / : @ - and *'
  }
  return pattern.includes('**') ? 'is not a scope; write one * where there are several' : undefined
}

function split(scope: string): [noun: string, pattern: string] {
  const colon = scope.indexOf(':')
  return colon < 0 ? ['', ''] : [scope.slice(0, colon), scope.slice(colon + 1)]
}

function patternsOf(scopes: readonly string[], noun: string): string[] {
  return scopes.filter((scope) => scope.startsWith(`${noun}:`)).map((scope) => scope.slice(noun.length + 1))
}

/** `*` stands for any characters, also none and also `/`. Leftmost match of each part in turn: no backtracking. */
export function matches(pattern: string, name: string): boolean {
  const [first = '', ...rest] = pattern.split('*')
  const last = rest.pop()
  if (last === undefined) return name === pattern
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last))
    return false
  let at = first.length
  for (const part of rest) {
    const found = name.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return at <= name.length - last.length
}
