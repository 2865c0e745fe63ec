/**
 * The HTTP face of tokens and of the audit log. Both belong to the noun `server`: admins, and of those with scopes only
 * the ones that have `server:*`.
 */
import { z } from 'zod'
import type { Access } from '../../ports/access.ts'
import type { Store } from '../../ports/store.ts'
import type { RouteFace } from '../app.ts'
import {
  auditQuery,
  auditView,
  createdTokenView,
  createTokenBody,
  tokenId,
  tokenListQuery,
  tokenListView,
  tokenName,
  tokenView,
} from './api.ts'
import { readAudit } from './audit-log.ts'
import type { Tokens } from './tokens.ts'

const access: Access = { role: 'admin', noun: 'server' }

export function authFace({ tokens, store }: { readonly tokens: Tokens; readonly store: Store }): RouteFace {
  return (app) => {
    app.route({
      method: 'POST',
      url: '/api/v1/tokens',
      config: { access },
      schema: {
        tags: ['server'],
        operationId: 'createToken',
        summary: 'Create a token; the answer holds its secret, this once',
        body: createTokenBody,
        response: { 200: createdTokenView },
      },
      handler: (request) => tokens.create(request.body, request.principal),
    })
    app.route({
      method: 'GET',
      url: '/api/v1/tokens',
      config: { access },
      schema: {
        tags: ['server'],
        operationId: 'listTokens',
        summary: 'Tokens, with those of the last 90 days that are no longer valid',
        querystring: tokenListQuery,
        response: { 200: tokenListView },
      },
      handler: ({ query: { limit, after } }) =>
        tokens.list({
          ...(limit === undefined ? {} : { limit }),
          ...(after === undefined ? {} : { after }),
        }),
    })
    app.route({
      method: 'DELETE',
      url: '/api/v1/tokens/:id',
      config: { access },
      schema: {
        tags: ['server'],
        operationId: 'revokeToken',
        summary: 'Revoke a token, named by its id or its name',
        params: z.object({ id: z.union([tokenId, tokenName]) }),
        response: { 200: tokenView },
      },
      handler: (request) => tokens.revoke(request.params.id, request.principal),
    })
    app.route({
      method: 'GET',
      url: '/api/v1/audit',
      config: { access },
      schema: {
        tags: ['server'],
        operationId: 'readAudit',
        summary: 'Who did what: the audit log, newest first',
        querystring: auditQuery,
        response: { 200: auditView },
      },
      handler: ({ query: { from, to, limit, after } }) =>
        readAudit(store, {
          ...(from === undefined ? {} : { from: Date.parse(from) }),
          ...(to === undefined ? {} : { to: Date.parse(to) }),
          ...(limit === undefined ? {} : { limit }),
          ...(after === undefined ? {} : { after }),
        }),
    })
  }
}
