/**
 * The vocabulary of tokens and of the audit log as HTTP, CLI and client speak it. Bodies are strict: a misspelt `scopes` must
 * not make a token for everything.
 */
import { z } from 'zod'
import { roles, scopeProblem } from '../../ports/access.ts'

const MAX_SCOPES = 32
/** Longest life a token may be given; one without expiry is asked for by leaving it out. */
const MAX_EXPIRY_MS = 10 * 365 * 86_400_000

/** 16 hexadecimal digits: the beginning of the secret's hash, which says nothing about the secret. */
export const tokenId = z.string().regex(/^[0-9a-f]{16}$/, 'must be 16 hexadecimal digits')

/** As it stands in the audit log. No name looks like an id, so that either can be said. */
export const tokenName = z
  .string()
  .regex(
    /^(?![0-9a-f]{16}$)[A-Za-z0-9][A-Za-z0-9._/:@-]{0,63}$/,
    'must be 1 to 64 characters of A-Z a-z 0-9 . _ / : @ -, begin with a letter or digit, and not be 16 hexadecimal digits',
  )

const scope = z.string().superRefine((text, context) => {
  const problem = scopeProblem(text)
  if (problem !== undefined) context.addIssue({ code: 'custom', message: problem })
})

export const createTokenBody = z.strictObject({
  name: tokenName.describe('Shown in lists and in the audit log; no two valid tokens share one.'),
  role: z.enum(roles).describe('Viewers read, operators act, admins manage tokens.'),
  scopes: z
    .array(scope)
    .min(1)
    .max(MAX_SCOPES)
    .optional()
    .describe('`turns:deploy`, `turns:staging/*`; `*` stands for any characters. Absent: everything.'),
  expiresInMs: z
    .number()
    .int()
    .min(1_000)
    .max(MAX_EXPIRY_MS)
    .optional()
    .describe('Absent: it never expires.'),
})
export type CreateToken = z.infer<typeof createTokenBody>

export const tokenView = z.object({
  id: tokenId,
  name: z.string(),
  role: z.enum(roles),
  scopes: z.array(z.string()).describe('Empty: everything.'),
  state: z.enum(['active', 'expired', 'revoked']),
  createdAt: z.string(),
  createdBy: z.string(),
  expiresAt: z.string().optional(),
  revokedAt: z.string().optional(),
  lastUsedAt: z.string().optional().describe('Exact to an hour.'),
})
export type TokenView = z.infer<typeof tokenView>

export const createdTokenView = z.object({
  token: tokenView,
  secret: z.string().describe('Shown this once; only its hash is kept.'),
})
export type CreatedToken = z.infer<typeof createdTokenView>

export const tokenListQuery = z.object({
  limit: z.coerce.number().int().min(1).max(1_000).optional(),
  after: tokenId.optional(),
})
export const tokenListView = z.object({
  tokens: z.array(tokenView).describe('In the order of their ids.'),
  next: tokenId.optional(),
})
export type TokenList = z.infer<typeof tokenListView>

const instant = z.union([z.iso.datetime({ offset: true }), z.iso.date()], {
  error: 'must be a time such as 2030-01-31 or 2030-01-31T12:00:00Z',
})

export const auditQuery = z.object({
  from: instant.optional().describe('Inclusive. Default: as far back as entries are kept.'),
  to: instant.optional().describe('Exclusive. Default: now.'),
  limit: z.coerce.number().int().min(1).max(1_000).optional().describe('Default 100.'),
  after: z
    .string()
    .regex(/^\d{15}$/, 'must be the `next` of the page before')
    .optional(),
})

const auditEntryView = z.object({
  id: z.string(),
  at: z.string(),
  actor: z.string(),
  action: z.string(),
  target: z.string(),
  reason: z.string().optional(),
  details: z.record(z.string(), z.json()).optional(),
})
export type AuditEntryView = z.infer<typeof auditEntryView>

export const auditView = z.object({
  entries: z.array(auditEntryView).describe('Newest first.'),
  next: z.string().optional(),
})
export type AuditPage = z.infer<typeof auditView>
