/**
 * The Google Cloud module lets the jobs it was told about do what turn queues need, and nothing more: read from its text, and evaluated by
 * Terraform where that is installed (terraform.test.ts says so where it is not).
 */
import { describe, expect, it } from 'vitest'
import { argument, block, blocks, source, unquoted } from './hcl.ts'
import { evaluate, terraform } from './tools.ts'

const gcp = source('turns-gcp')
const evaluated = it.skipIf(terraform === undefined)

describe('the Google Cloud module', () => {
  const good = {
    project_id: 'octo-ci',
    location: 'eur3',
    github_repositories: ['octo-org/app', 'octo-org/site'],
  }

  it('grants datastore.user in this database, and workloadIdentityUser to each repository, and nothing else', () => {
    expect(gcp.match(/roles\/[\w.]+/g)?.sort()).toEqual([
      'roles/datastore.user',
      'roles/iam.workloadIdentityUser',
    ])
    const grant = block(gcp, 'resource', 'google_project_iam_member', 'queue').body
    expect(argument(block(grant, 'condition').body, 'expression')).toBe(
      String.raw`"resource.name == \"projects/${'${var.project_id}'}/databases/${'${var.database}'}\""`,
    )
    const user = block(gcp, 'resource', 'google_service_account_iam_member', 'github').body
    expect(argument(user, 'for_each')).toBe('toset(var.github_repositories)')
    expect(unquoted(argument(user, 'member'))).toMatch(
      /^principalSet:\/\/iam\.googleapis\.com\/.*\/attribute\.repository\/\$\{each\.value\}$/,
    )
  })

  it('maps every attribute that it uses', () => {
    const provider = block(gcp, 'resource', 'google_iam_workload_identity_pool_provider', 'github').body
    const mapped = [...provider.matchAll(/"(attribute\.\w+)"\s+=/g)].map(([, name]) => name)
    const used = [...gcp.matchAll(/\/(attribute\.\w+)\//g)].map(([, name]) => name)
    expect(used).toEqual(['attribute.repository'])
    expect(mapped).toEqual(expect.arrayContaining(used))
    expect(provider).toMatch(/"google\.subject"\s+=/)
    expect(argument(provider, 'attribute_condition')).toBe('local.attribute_condition')
  })

  it('makes the database and the index of the reference, and lets records expire', () => {
    const fields = (name: string) =>
      blocks(block(gcp, 'resource', 'google_firestore_index', name).body)
        .filter((b) => b.type === 'fields')
        .map((b) => [unquoted(argument(b.body, 'field_path')), unquoted(argument(b.body, 'order'))])
    expect(fields('oldest_first')).toEqual([
      ['queueName', 'ASCENDING'],
      ['entryTimestamp', 'ASCENDING'],
      ['__name__', 'ASCENDING'],
    ])
    expect(fields('newest_first')).toEqual([
      ['queueName', 'ASCENDING'],
      ['entryTimestamp', 'DESCENDING'],
      ['__name__', 'DESCENDING'],
    ])
    const database = block(gcp, 'resource', 'google_firestore_database', 'queue').body
    expect(unquoted(argument(database, 'type'))).toBe('FIRESTORE_NATIVE')
    expect(unquoted(argument(block(gcp, 'variable', 'database').body, 'default'))).toBe('github-dynamoq')
    const expiry = block(gcp, 'resource', 'google_firestore_field', 'expire_at').body
    expect([argument(expiry, 'field'), blocks(expiry).map((b) => b.type)]).toEqual([
      '"expireAt"',
      ['ttl_config', 'index_config'],
    ])
  })

  evaluated('accepts tokens of these repositories alone, and of these owners where they are given', () => {
    const condition = (input: object) =>
      evaluate('turns-gcp', { ...good, ...input }, ['attribute_condition']).values['attribute_condition']
    const repositories = 'assertion.repository in ["octo-org/app","octo-org/site"]'
    expect(condition({})).toBe(repositories)
    expect(condition({ github_owner_ids: ['7'] })).toBe(
      `${repositories} && assertion.repository_owner_id in ["7"]`,
    )
  })

  evaluated.each([
    ['project_id', '123456789'],
    ['location', 'us-central'],
    ['github_repositories', []],
    ['github_repositories', ['octo-org/*']],
    ['github_repositories', ['octo-org']],
    ['github_repositories', ['octo-org/app"] || true || assertion.repository in ["']],
    ['github_owner_ids', ['octo-org']],
    ['database', 'x'],
    ['collection', 'a/b'],
    ['collection', '..'],
    ['service_account_id', 'ci'],
    ['workload_identity_pool_id', 'gcp-pool'],
  ])('refuses a %s of %j', (name, value) => {
    expect(evaluate('turns-gcp', good, [])).toMatchObject({ code: 0 })
    const { code, out } = evaluate('turns-gcp', { ...good, [name]: value }, [])
    expect([code, out.includes(`var.${name}`)], out).toEqual([1, true])
  })
})
