/** Tokens and the audit log at a distance: the routes under `/api/v1/tokens` and `/api/v1/audit`. */
import {
  auditView,
  createdTokenView,
  tokenListView,
  tokenView,
  type AuditPage,
  type CreatedToken,
  type CreateToken,
  type TokenList,
  type TokenView,
} from '../server/auth/api.ts'
import { query } from './query.ts'
import type { Transport } from './transport.ts'

/** For admins. A call is sent once; errors are `SignalboxError`. */
export interface AccessApi {
  /** The answer holds the secret, this once. @throws `conflict` when a valid token has this name */
  createToken(request: CreateToken): Promise<CreatedToken>
  listTokens(options?: { readonly limit?: number; readonly after?: string }): Promise<TokenList>
  /** May be repeated. @throws `not_found` */
  revokeToken(idOrName: string): Promise<TokenView>
  /** Newest first. @param options times as ISO 8601: `from` inclusive, `to` exclusive */
  readAudit(options?: {
    readonly from?: string
    readonly to?: string
    readonly limit?: number
    readonly after?: string
  }): Promise<AuditPage>
}

/** Manages the server that `transport` reaches. */
export function accessOver(transport: Transport): AccessApi {
  return {
    createToken: (request) =>
      transport.call({ method: 'POST', path: '/api/v1/tokens', body: request, answer: createdTokenView }),
    listTokens: (options = {}) =>
      transport.call({
        method: 'GET',
        path: `/api/v1/tokens${query({ ...options })}`,
        answer: tokenListView,
      }),
    revokeToken: (idOrName) =>
      transport.call({
        method: 'DELETE',
        path: `/api/v1/tokens/${encodeURIComponent(idOrName)}`,
        answer: tokenView,
      }),
    readAudit: (options = {}) =>
      transport.call({ method: 'GET', path: `/api/v1/audit${query({ ...options })}`, answer: auditView }),
  }
}
