/**
 * How `auth.oidc` is read: the issuers whose tokens are accepted, and for whom. The keys of a rule are the names of GitHub's claims.
 *
 * Invariant: no rule admits the whole world. Each names an owner or a repository, or the id of one, and no pattern can stand for
 * every owner.
 */
import { z } from 'zod'
import { roles, scopeProblem } from '../../ports/access.ts'
import { isLoopback } from './loopback.ts'
import { choice, named, structure } from './values.ts'

/** Who signs the tokens of GitHub Actions on github.com. */
export const GITHUB_ISSUER = 'https://token.actions.githubusercontent.com'

const MAX_SCOPES = 32
const OWNER = '[A-Za-z0-9][A-Za-z0-9_-]{0,99}'
const OWNED = new RegExp(`^${OWNER}/(?:\\*|[A-Za-z0-9._-]{1,100})$`)

/** May keys be fetched from here? Over https, or from this machine. */
export function isIssuerUrl(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || url.username !== '' || url.password !== '' || /[?#]/.test(text)) return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(bareHost(url)))
}

const issuer = () =>
  named(
    'issuer',
    'its https address exactly as in the claim iss (plain http on this machine alone)',
    isIssuerUrl,
  )

const audience = () =>
  named(
    'audience',
    "the server's public URL, such as https://signalbox.example.org, exactly as workflows ask for it",
    (text) => /^[\x21-\x7e]{1,256}$/.test(text),
  )

/** Parts between slashes, each exact or `*`; the last may be `**`, one or more parts. */
function isPattern(text: string): boolean {
  if (text.length > 1_000 || /\p{Cc}/u.test(text)) return false
  const parts = text.split('/')
  return parts.every(
    (part, i) => part === '*' || (part === '**' && i === parts.length - 1) || /^[^*]+$/.test(part),
  )
}
const PATTERN = '* stands for one whole part between slashes, ** at the end for one or more'

const id = (what: string) =>
  named(what, 'its number, as a job has it in its context github', (text) => /^[1-9]\d{0,19}$/.test(text))

const some = (list: readonly unknown[]): boolean => list.length > 0

const scope = () =>
  z.string().superRefine((text, context) => {
    const problem = scopeProblem(text)
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem })
  })

const rule = z
  .strictObject({
    repository: named('repository', 'owner/name, or owner/* for every repository of that owner', (text) =>
      OWNED.test(text),
    ).optional(),
    repository_owner: named('repository owner', 'one organisation or user', (text) =>
      new RegExp(`^${OWNER}$`).test(text),
    ).optional(),
    repository_id: id('repository id').optional(),
    repository_owner_id: id('owner id').optional(),
    ref: named(
      'ref',
      `the whole ref, such as refs/heads/main; ${PATTERN}`,
      (text) => text.startsWith('refs/') && isPattern(text),
    ).optional(),
    environment: named('environment', `its name; ${PATTERN}`, isPattern).optional(),
    workflow_ref: named(
      'workflow ref',
      `for example octo-org/app/.github/workflows/ci.yml@refs/heads/main; ${PATTERN}`,
      (text) => text.includes('@') && isPattern(text),
    ).optional(),
    event_name: named('event name', 'for example push or merge_group', isPattern).optional(),
    role: choice('role', roles),
    scopes: z
      .array(scope())
      .max(MAX_SCOPES)
      .refine(some, 'is empty; leave it out to allow all that the role allows')
      .optional(),
  })
  .superRefine((conditions, context) => {
    const { repository, repository_owner, repository_id, repository_owner_id } = conditions
    if ((repository ?? repository_owner ?? repository_id ?? repository_owner_id) !== undefined) return
    const message =
      'admits every repository of the issuer; name repository, repository_owner, repository_id or repository_owner_id'
    context.addIssue({ code: 'custom', message })
  })

/** A rule of `auth.oidc`: who it admits (every condition that is given must hold), as what. */
export type OidcRule = z.output<typeof rule>

const entry = z.strictObject({
  issuer: issuer().prefault(GITHUB_ISSUER),
  audience: audience(),
  rules: z.array(rule).refine(some, 'is empty; without a rule nobody is admitted'),
})

/** One entry of `auth.oidc`. */
export type OidcIssuer = z.output<typeof entry>

const entries = z
  .array(entry)
  .refine(some, 'is empty; leave the key out to accept no OIDC tokens')
  .superRefine((all, context) => {
    all.forEach(({ issuer, audience }, index) => {
      const first = all.findIndex((other) => other.issuer === issuer && other.audience === audience)
      if (first === index) return
      const message = `has issuer and audience of auth.oidc[${first}]; put the rules of both there`
      context.addIssue({ code: 'custom', path: [index], message, params: { shown: issuer } })
    })
  })

export const oidcIssuers = () =>
  structure(
    {
      type: 'list of OIDC issuers',
      write:
        "a list of { issuer, audience, rules }; the issuer is GitHub's unless given; each rule has repository, repository_owner, repository_id, repository_owner_id, ref, environment, workflow_ref, event_name as far as they must hold, role (viewer, operator, admin) and, to narrow it, scopes",
      example:
        "[{ audience: https://signalbox.example.org, rules: [{ repository: acme/shop, role: operator, scopes: ['turns:shop/*'] }] }]",
    },
    entries,
  )

function bareHost(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1')
}
