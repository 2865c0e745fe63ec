/** `signalbox token` and `signalbox audit` against a real server on the owner's socket and over TCP. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../kernel/clock.ts'
import { seededRandom } from '../kernel/id.ts'
import { configSchema } from '../server/config/schema.ts'
import { createLogger } from '../server/logger.ts'
import { startServer, type RunningServer } from '../server/serve.ts'
import { run } from './program.ts'

let server: RunningServer
let dir: string

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'signalbox-token-'))
  const config = { dataDir: join(dir, 'data'), server: { port: 0, auth: 'required' } }
  server = await startServer(configSchema.parse(config), {
    clock: systemClock,
    random: seededRandom(7),
    logger: createLogger({ level: 'silent', format: 'json' }, false, { write: () => true }),
    command: 'signalbox serve',
  })
})
afterAll(async () => {
  await server.close()
  rmSync(dir, { recursive: true })
})

interface Ran {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

/** @param token over TCP with this token; else as the owner of the data directory */
async function signalbox(line: string, token?: string): Promise<Ran> {
  const printed = { stdout: '', stderr: '' }
  const env = token === undefined ? {} : { SIGNALBOX_URL: server.url, SIGNALBOX_TOKEN: token }
  const exit = await run({
    argv: line.split(' '),
    env,
    cwd: dir,
    stdout: { write: (text) => (printed.stdout += text) },
    stderr: { write: (text) => (printed.stderr += text) },
  })
  return { exit, ...printed }
}

describe('signalbox token', () => {
  it('creates, lists and revokes; the secret stands alone on standard output', async () => {
    const made = await signalbox(
      'token create --name ci --role operator --scope turns:a/* --scope turns:b --expires 90d',
    )
    expect(made.exit).toBe(0)
    expect(made.stdout).toMatch(/^sbx_[0-9a-z]{40}\n$/)
    expect(made.stderr).toMatch(
      /^Created the token 'ci' \([0-9a-f]{16}\): operator for turns:a\/\* turns:b, expires \d{4}-\d\d-\d\d \d\d:\d\dZ\.\n.*shown this once.*\n$/,
    )
    const secret = made.stdout.trim()
    expect(await signalbox('turn list', secret)).toMatchObject({ exit: 0, stdout: 'No turn queues yet.\n' })
    expect(await signalbox('token list', secret)).toMatchObject({
      exit: 77,
      stderr: "signalbox: token 'ci' has the role operator; this needs the role admin\n",
    })
    const list = await signalbox('token list')
    expect(list.stdout).toMatch(/^ID +NAME +ROLE +SCOPES +STATE/)
    expect(list.stdout).toMatch(/ ci +operator +turns:a\/\* turns:b +active /)
    expect(list.stdout).not.toContain(secret.slice(4))

    expect((await signalbox('token revoke ci')).stdout).toMatch(/^Revoked the token 'ci' /)
    expect(await signalbox('turn list', secret)).toMatchObject({
      exit: 77,
      stderr: "signalbox: the token is revoked; send 'Authorization: Bearer sbx_…' (SIGNALBOX_TOKEN)\n",
    })
    expect(await signalbox('token revoke nobody')).toMatchObject({ exit: 66 })
  })

  it('speaks JSON', async () => {
    const made = JSON.parse((await signalbox('token create --name j --role admin --json')).stdout) as {
      secret: string
      token: { id: string }
    }
    const { tokens } = JSON.parse((await signalbox('token list --json', made.secret)).stdout) as {
      tokens: { id: string }[]
    }
    expect(tokens.map(({ id }) => id)).toContain(made.token.id)
    const revoked = await signalbox(`token revoke ${made.token.id} --json`)
    expect(JSON.parse(revoked.stdout)).toMatchObject({ id: made.token.id, state: 'revoked' })
  })

  it.each([
    ['--name x', "required option '--role <role>' not specified"],
    ['--name x --role boss', "role: 'boss' must be one of viewer, operator, admin"],
    ['--name x --role viewer --scope queue:a', "scopes.0: 'queue:a' is not a scope; write noun:pattern"],
    ['--name x --role viewer --expires soon', "--expires: 'soon' is not a duration"],
    ['--name x --role viewer --expires 11y', "--expires: '11y' is not a duration"],
    ['--name a,b --role viewer', "name: 'a,b' must be 1 to 64 characters"],
  ])('create %s is refused in one line', async (flags, message) => {
    const { exit, stdout, stderr } = await signalbox(`token create ${flags}`)
    expect([exit, stdout]).toEqual([64, ''])
    expect(stderr).toContain(`signalbox: ${message}`)
    expect(stderr.trim()).not.toContain('\n')
  })
})

describe('signalbox audit', () => {
  it('shows who did what, newest first', async () => {
    await signalbox('token create --name seen --role viewer')
    await signalbox('token revoke seen')
    const { stdout } = await signalbox('audit')
    expect(stdout).toMatch(/^TIME +ACTOR +ACTION +TARGET/)
    expect(stdout.indexOf('tokens.revoke  seen')).toBeLessThan(stdout.indexOf('tokens.create  seen'))
    const { entries, next } = JSON.parse((await signalbox('audit --limit 1 --json')).stdout) as {
      entries: { action: string; target: string }[]
      next?: string
    }
    expect(entries).toMatchObject([{ action: 'tokens.revoke', target: 'seen' }])
    expect(next).toMatch(/^\d{15}$/)
  })
})
