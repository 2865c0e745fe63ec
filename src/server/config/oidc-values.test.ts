import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isSignalboxError } from '../../kernel/error.ts'
import { loadConfig, type LoadedConfig } from './load.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'signalbox-oidc-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

const load = (text: string, env: Record<string, string> = {}): Promise<LoadedConfig> => {
  writeFileSync(join(cwd, 'signalbox.yaml'), text)
  return loadConfig({ cwd, env })
}

async function problems(text: string, env: Record<string, string> = {}): Promise<string[]> {
  const error: unknown = await load(text, env).then(
    () => new Error('loading succeeded'),
    (thrown: unknown) => thrown,
  )
  if (!isSignalboxError(error, 'config_invalid')) throw error
  return error.message.split('\n')
}

/** A file with one issuer; its rule stands on line 5, its issuer, if any, on line 4. */
const file = (rule: string, issuer = ''): string =>
  ['auth:', '  oidc:', '    - audience: https://box.example', issuer, `      rules: [${rule}]`].join('\n')

const problem = async (rule: string, issuer?: string): Promise<string> =>
  (await problems(file(rule, issuer))).join('\n')

describe('auth.oidc', () => {
  it('has GitHub as its issuer, unless another is given, and rules in the words of the claims', async () => {
    const { config } = await load(
      `auth:
  oidc:
    - audience: https://box.example
      rules:
        - repository: octo-org/app
          repository_id: 74
          ref: refs/heads/main
          role: operator
          scopes: [turns:app/*]
        - { repository_owner: octo-org, event_name: merge_group, role: viewer }
    - issuer: https://github.example.org/_services/token
      audience: \${BOX}
      rules: [{ repository: octo-org/*, environment: production, role: admin }]
`,
      { BOX: 'https://box.example' },
    )
    expect(config.auth.oidc).toEqual([
      {
        issuer: 'https://token.actions.githubusercontent.com',
        audience: 'https://box.example',
        rules: [
          {
            repository: 'octo-org/app',
            repository_id: '74',
            ref: 'refs/heads/main',
            role: 'operator',
            scopes: ['turns:app/*'],
          },
          { repository_owner: 'octo-org', event_name: 'merge_group', role: 'viewer' },
        ],
      },
      {
        issuer: 'https://github.example.org/_services/token',
        audience: 'https://box.example',
        rules: [{ repository: 'octo-org/*', environment: 'production', role: 'admin' }],
      },
    ])
  })

  it('may come from the environment as JSON', async () => {
    const value = [
      { audience: 'https://box.example', rules: [{ repository: 'octo-org/app', role: 'viewer' }] },
    ]
    const { config } = await load('', { SIGNALBOX_AUTH_OIDC: JSON.stringify(value) })
    expect(config.auth.oidc?.[0]?.rules).toEqual([{ repository: 'octo-org/app', role: 'viewer' }])
    expect((await problems('', { SIGNALBOX_AUTH_OIDC: '[{' })).join()).toMatch(
      /^SIGNALBOX_AUTH_OIDC: auth.oidc: /,
    )
  })

  it('works as docs/security.md shows it', async () => {
    const page = readFileSync(new URL('../../../docs/security.md', import.meta.url), 'utf8')
    const [, example = ''] = /^```yaml\n(auth:[\s\S]*?)^```$/m.exec(page) ?? []
    const [issuer] = (await load(example)).config.auth.oidc ?? []
    expect(issuer?.rules.map(({ role }) => role)).toEqual(['admin', 'operator', 'viewer'])
  })

  it('may be left out', async () => {
    expect((await load('')).config.auth.oidc).toBeUndefined()
  })

  it('needs an audience', async () => {
    expect(await problems('auth:\n  oidc:\n    - rules: [{ repository: a/b, role: viewer }]\n')).toEqual([
      "signalbox.yaml:3: auth.oidc[0].audience: nothing is not an audience; write the server's public URL, such as https://signalbox.example.org, exactly as workflows ask for it",
    ])
  })

  it.each([
    ['*', 'repository'],
    ['*/*', 'repository'],
    ['*/app', 'repository'],
    ['octo-*/app', 'repository'],
    ['octo-org/app*', 'repository'],
    ['octo-org/**', 'repository'],
    ['octo-org', 'repository'],
    ['octo-org/', 'repository'],
    ['octo-org/a/b', 'repository'],
    ['*', 'repository_owner'],
    ['octo-org/app', 'repository_owner'],
    ['*', 'repository_id'],
    ['0', 'repository_id'],
    ['x', 'repository_owner_id'],
    ['main', 'ref'],
    ['refs/heads/re*', 'ref'],
    ['refs/**/main', 'ref'],
    ['pro*', 'environment'],
    ['ci.yml', 'workflow_ref'],
    ['push*', 'event_name'],
    ['', 'event_name'],
    ['root', 'role'],
  ])('refuses %j as %s, with file, line and reason', async (value, name) => {
    const owned = name.startsWith('repository') ? '' : 'repository: a/b, '
    const role = name === 'role' ? '' : ', role: viewer'
    const said = await problem(`{ ${owned}${name}: "${value}"${role} }`)
    expect(said.split('\n')).toHaveLength(1)
    expect(said).toMatch(`signalbox.yaml:5: auth.oidc[0].rules[0].${name}: '${value}' is not a`)
    expect(said).toMatch(/; write ./)
  })

  it.each([
    '{ role: viewer }',
    '{ ref: refs/heads/main, role: viewer }',
    '{ environment: "*", role: admin }',
  ])('refuses a rule for everybody: %s', async (rule) => {
    expect(await problem(rule)).toMatch(
      /^signalbox\.yaml:5: auth\.oidc\[0\]\.rules\[0\]: .* admits every repository of the issuer; name repository, /,
    )
  })

  it.each([
    ['http://issuer.example', false],
    ['https://user:secret@issuer.example', false],
    ['https://issuer.example?x=1', false],
    ['issuer.example', false],
    ['file:///etc/keys', false],
    ['http://127.0.0.1.evil.example', false],
    ['http://127.0.0.1:8001', true],
    ['http://localhost:8001', true],
    ['http://[::1]:8001/token', true],
  ])('takes %s as an issuer: %s', async (issuer, taken) => {
    const text = file('{ repository: a/b, role: viewer }', `      issuer: "${issuer}"`)
    if (taken) expect((await load(text)).config.auth.oidc?.[0]?.issuer).toBe(issuer)
    else
      expect((await problems(text)).join()).toMatch(
        /^signalbox\.yaml:4: auth\.oidc\[0\]\.issuer: '.*' is not an issuer; write its https address/,
      )
  })

  it.each([
    ['{ repository: a/b, role: viewer, scopes: [queue:a] }', /scopes\[0\]: 'queue:a' is not a scope/],
    ['{ repository: a/b, role: viewer, scopes: [] }', /scopes: \[\] is empty; leave it out/],
    ['{ repository: a/b, role: viewer, scope: x }', /has the unknown key scope/],
    ['{ repository: a/b }', /role: nothing is not a role; write one of viewer, operator, admin/],
    ['', /rules: \[\] is empty; without a rule nobody/],
  ])('refuses %s', async (rule, said) => {
    expect(await problem(rule)).toMatch(said)
    expect(await problem(rule)).toMatch(/^signalbox\.yaml:5: auth\.oidc\[0\]/)
  })

  it('refuses an issuer and audience that are there twice', async () => {
    const entry = '    - { audience: https://box.example, rules: [{ repository: a/b, role: viewer }] }\n'
    expect(await problems(`auth:\n  oidc:\n${entry}${entry}`)).toEqual([
      "signalbox.yaml:4: auth.oidc[1]: 'https://token.actions.githubusercontent.com' has issuer and audience of auth.oidc[0]; put the rules of both there",
    ])
  })
})
