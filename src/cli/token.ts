/**
 * `signalbox token create|list|revoke`.
 *
 * Invariant: a secret goes to standard output, once, alone on its line, so that it can be piped where it belongs; everything
 * that is said about it goes to standard error.
 */
import { Command } from 'commander'
import { parseDuration } from '../kernel/duration.ts'
import { SignalboxError } from '../kernel/error.ts'
import { validationProblem } from '../server/validation.ts'
import { createTokenBody, type CreateToken, type TokenView } from '../server/auth/api.ts'
import { adminOptions, asAdmin, type AdminFlags } from './admin.ts'
import { table } from './output.ts'
import type { Terminal } from './terminal.ts'

interface CreateFlags extends AdminFlags {
  readonly name: string
  readonly role: string
  readonly scope: readonly string[]
  readonly expires?: string
}

const PAGE = 1_000

export function tokenCommand(terminal: Terminal): Command {
  const group = new Command('token').description('Create, list and revoke tokens for the API')
  const { stdout, stderr } = terminal
  const json = (facts: object): unknown => stdout.write(`${JSON.stringify(facts)}\n`)

  adminOptions(group.command('create').description('Create a token and print its secret, this once'))
    .requiredOption('--name <name>', 'shown in lists and in the audit log')
    .requiredOption('--role <role>', 'viewer (reads), operator (acts) or admin (manages tokens)')
    .option('--scope <pattern>', 'such as turns:deploy or turns:staging/*; may be given again', collect, [])
    .option('--expires <duration>', 'such as 90d (default: never)')
    .addHelpText('after', CREATE_HELP)
    .action(async (flags: CreateFlags) => {
      const request = createRequest(flags)
      const created = await asAdmin(terminal, flags, (access) => access.createToken(request))
      if (flags.json === true) return void json(created)
      stderr.write(`Created the token ${described(created.token)}.\n`)
      stderr.write('Its secret is shown this once; keep it, and set SIGNALBOX_TOKEN to it:\n')
      stdout.write(`${created.secret}\n`)
    })

  adminOptions(group.command('list').description('List tokens, without their secrets')).action(
    async (flags: AdminFlags) => {
      const tokens = await allTokens(terminal, flags)
      if (flags.json === true) return void json({ tokens })
      stdout.write(tokens.length === 0 ? 'No tokens yet.\n' : table([HEAD, ...tokens.map(row)]))
    },
  )

  adminOptions(group.command('revoke').description('Revoke a token at once').argument('<id-or-name>')).action(
    async (named: string, flags: AdminFlags) => {
      const token = await asAdmin(terminal, flags, (access) => access.revokeToken(named))
      if (flags.json === true) return void json(token)
      stdout.write(`Revoked the token ${described(token)}.\n`)
    },
  )
  return group
}

const CREATE_HELP = `
Without --scope the token is for everything that its role allows. A pattern's * stands for any characters.

Example: signalbox token create --name deploy-ci --role operator --scope 'turns:deploy/*' --expires 90d
`

const HEAD = ['ID', 'NAME', 'ROLE', 'SCOPES', 'STATE', 'CREATED', 'BY', 'EXPIRES', 'LAST USED']

function createRequest({ name, role, scope, expires }: CreateFlags): CreateToken {
  const request = {
    name,
    role,
    ...(scope.length === 0 ? {} : { scopes: scope }),
    ...(expires === undefined ? {} : { expiresInMs: parseDuration(expires, '--expires') }),
  }
  const parsed = createTokenBody.safeParse(request)
  if (parsed.success) return parsed.data
  const { message, details } = validationProblem(parsed.error.issues, 'token', request)
  throw new SignalboxError('invalid_argument', message, { details })
}

/** Oldest first. */
async function allTokens(terminal: Terminal, flags: AdminFlags): Promise<TokenView[]> {
  const tokens = await asAdmin(terminal, flags, async (access) => {
    const all: TokenView[] = []
    for (let after: string | undefined; ;) {
      const page = await access.listTokens({ limit: PAGE, ...(after === undefined ? {} : { after }) })
      all.push(...page.tokens)
      if (page.next === undefined) return all
      after = page.next
    }
  })
  return tokens.sort((a, b) => a.createdAt.localeCompare(b.createdAt))
}

function row(token: TokenView): string[] {
  const { id, name, role, scopes, state, createdAt, createdBy, expiresAt, lastUsedAt } = token
  return [
    id,
    name,
    role,
    scopes.join(' ') || 'all',
    state,
    minute(createdAt),
    createdBy,
    expiresAt === undefined ? 'never' : minute(expiresAt),
    lastUsedAt === undefined ? 'never' : minute(lastUsedAt),
  ]
}

function described({ name, id, role, scopes, expiresAt }: TokenView): string {
  const where = scopes.length === 0 ? 'everything' : scopes.join(' ')
  const until = expiresAt === undefined ? 'never expires' : `expires ${minute(expiresAt)}`
  return `'${name}' (${id}): ${role} for ${where}, ${until}`
}

/** `2030-01-31 12:00Z` */
function minute(iso: string): string {
  return `${iso.slice(0, 16).replace('T', ' ')}Z`
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value]
}
