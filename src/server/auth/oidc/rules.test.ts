import { describe, expect, it } from 'vitest'
import { jobClaims } from '../../../../test/support/oidc-issuer.ts'
import type { OidcRule } from '../../config/oidc-values.ts'
import { configSchema } from '../../config/schema.ts'
import { firstMatch } from './rules.ts'

/** Rules as the configuration gives them, so that a pattern that it refuses cannot be tested as if it worked. */
function rulesOf(...rules: readonly object[]): readonly OidcRule[] {
  const oidc = [
    { audience: 'https://box.example', rules: rules.map((rule) => ({ role: 'viewer', ...rule })) },
  ]
  return configSchema.parse({ auth: { oidc } }).auth.oidc?.[0]?.rules ?? []
}

const job = jobClaims('https://issuer.example', 0)
const admits = (rule: object, claims: object = {}): boolean =>
  firstMatch(rulesOf(rule), { ...job, ...claims }) !== undefined

describe('a repository', () => {
  it.each([
    ['octo-org/app', 'octo-org/app', true],
    ['octo-org/app', 'octo-org/app2', false],
    ['octo-org/app', 'octo-org/App', false],
    ['octo-org/app', 'Octo-org/app', false],
    ['octo-org/app', 'evil-octo-org/app', false],
    ['octo-org/app', 'octo-org/app/x', false],
    ['octo-org/app', 'x/octo-org/app', false],
    ['octo-org/*', 'octo-org/app', true],
    ['octo-org/*', 'octo-org/.github', true],
    ['octo-org/*', 'octo-org-evil/x', false],
    ['octo-org/*', 'octo-org', false],
    ['octo-org/*', 'octo-org/', false],
    ['octo-org/*', 'octo-org/a/b', false],
    ['octo-org/*', 'evil/octo-org/app', false],
    ['octo-org/*', '', false],
    ['octo-org/a.p', 'octo-org/axp', false],
  ])('%s admits %s: %s', (repository, claim, admitted) => {
    expect(admits({ repository }, { repository: claim })).toBe(admitted)
  })

  it.each([undefined, null, 7, ['octo-org/app'], { toString: 'octo-org/app' }])(
    'that is %j is nobody’s',
    (claim) => {
      expect(admits({ repository: 'octo-org/*' }, { repository: claim })).toBe(false)
    },
  )

  it('of the same name with another id is another one', () => {
    const rule = { repository: 'octo-org/app', repository_id: 74, repository_owner_id: '65' }
    expect(admits(rule)).toBe(true)
    expect(admits(rule, { repository_id: '75' })).toBe(false)
    expect(admits(rule, { repository_owner_id: '650' })).toBe(false)
    expect(admits(rule, { repository_id: undefined })).toBe(false)
  })

  it('may be named by its owner or by ids alone', () => {
    expect(admits({ repository_owner: 'octo-org' })).toBe(true)
    expect(admits({ repository_owner: 'octo-org' }, { repository_owner: 'octo-org-evil' })).toBe(false)
    expect(admits({ repository_owner: 'octo' })).toBe(false)
    expect(admits({ repository_id: '74' }, { repository: 'new-name/app' })).toBe(true)
    expect(admits({ repository_owner_id: '65' }, { repository: 'octo-org/other' })).toBe(true)
  })
})

describe('a condition', () => {
  it.each([
    ['ref', 'refs/heads/main', 'refs/heads/main', true],
    ['ref', 'refs/heads/main', 'refs/heads/main2', false],
    ['ref', 'refs/heads/main', 'refs/heads/main/x', false],
    ['ref', 'refs/heads/*', 'refs/heads/main', true],
    ['ref', 'refs/heads/*', 'refs/heads/feature/x', false],
    ['ref', 'refs/heads/*', 'refs/heads/', false],
    ['ref', 'refs/heads/*', 'refs/tags/v1', false],
    ['ref', 'refs/heads/release/*', 'refs/heads/release/1.2', true],
    ['ref', 'refs/heads/release/*', 'refs/heads/release-evil/1.2', false],
    ['ref', 'refs/heads/**', 'refs/heads/feature/x/y', true],
    ['ref', 'refs/heads/**', 'refs/heads/main', true],
    ['ref', 'refs/heads/**', 'refs/heads', false],
    ['ref', 'refs/heads/**', 'refs/heads/', false],
    ['ref', 'refs/heads/**', 'refs/heads/a//b', false],
    ['ref', 'refs/*/main', 'refs/heads/main', true],
    ['environment', 'production', 'production', true],
    ['environment', 'production', 'Production', false],
    ['environment', 'production', undefined, false],
    ['environment', '*', 'staging', true],
    ['environment', '*', undefined, false],
    ['environment', '*', '', false],
    ['event_name', 'push', 'pull_request', false],
    ['event_name', 'push', 'push', true],
    [
      'workflow_ref',
      'octo-org/app/.github/workflows/ci.yml@refs/heads/*',
      'octo-org/app/.github/workflows/ci.yml@refs/heads/main',
      true,
    ],
    [
      'workflow_ref',
      'octo-org/app/.github/workflows/ci.yml@refs/heads/*',
      'octo-org/app/.github/workflows/ci.yml@refs/pull/1/merge',
      false,
    ],
    [
      'workflow_ref',
      'octo-org/app/.github/workflows/ci.yml@refs/**',
      'octo-org/app/.github/workflows/evil.yml@refs/heads/main',
      false,
    ],
  ])('%s: %s holds for %s: %s', (name, pattern, claim, held) => {
    expect(admits({ repository: 'octo-org/app', [name]: pattern }, { [name]: claim })).toBe(held)
  })

  it('must hold together with all others', () => {
    const rule = { repository: 'octo-org/app', ref: 'refs/heads/main', event_name: 'push' }
    expect(admits(rule)).toBe(true)
    for (const broken of [{ repository: 'octo-org/x' }, { ref: 'refs/heads/x' }, { event_name: 'x' }]) {
      expect(admits(rule, broken)).toBe(false)
    }
  })

  it('is no claim that comes from the prototype', () => {
    expect(
      firstMatch(rulesOf({ repository: 'octo-org/*' }), Object.create(job) as Record<string, unknown>),
    ).toBeUndefined()
  })
})

it('the first rule that holds decides, not the most powerful one', () => {
  const rules = rulesOf(
    { repository: 'octo-org/app', ref: 'refs/heads/main', role: 'operator' },
    { repository: 'octo-org/*', role: 'viewer' },
    { repository: 'octo-org/app', role: 'admin' },
  )
  const role = (claims: object): string | undefined => firstMatch(rules, { ...job, ...claims })?.role
  expect(role({})).toBe('operator')
  expect(role({ ref: 'refs/heads/x' })).toBe('viewer')
  expect(role({ repository: 'octo-org/other' })).toBe('viewer')
  expect(role({ repository: 'elsewhere/app' })).toBeUndefined()
})
