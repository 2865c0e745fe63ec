/**
 * Who may do what: roles and scopes, and what a call demands. Pure; the server finds out who calls and enforces it alike on
 * HTTP, event streams and gRPC.
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
  readonly kind: 'token' | 'local' | 'anonymous'
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
}
