/**
 * The AWS module lets the jobs it was told about do what turn queues need, and nothing more: read from its text, and evaluated by
 * Terraform where that is installed (terraform.test.ts says so where it is not).
 */
import { describe, expect, it } from 'vitest'
import { argument, block, blocks, source, unquoted } from './hcl.ts'
import { evaluate, terraform } from './tools.ts'

const aws = source('turns-aws')
const evaluated = it.skipIf(terraform === undefined)

describe('the AWS module', () => {
  const table = block(aws, 'resource', 'aws_dynamodb_table', 'queue').body

  it('allows exactly the six actions that turn queues need, on the table alone', () => {
    const actions = ['ConditionCheckItem', 'DeleteItem', 'GetItem', 'PutItem', 'Query', 'UpdateItem']
    const listed = /table_actions = \[\n([\s\S]*?)\n\s*\]/.exec(aws)?.[1] ?? ''
    expect(
      listed
        .split('\n')
        .map((line) => line.trim())
        .sort(),
    ).toEqual(actions.map((name) => `"dynamodb:${name}",`))
    // No other statement: one policy, one list of actions, one resource; the second Action is the role's trust.
    expect(aws.match(/"[a-z0-9-]+:(?:[A-Z]\w*|\*)"/g)).toHaveLength(actions.length + 1)
    expect([...aws.matchAll(/^\s*(?:Not)?Action\s+= (.*)$/gm)].map(([, value]) => value)).toEqual([
      'local.table_actions',
      '"sts:AssumeRoleWithWebIdentity"',
    ])
    expect([...aws.matchAll(/^\s*(?:Not)?Resource\s+= (.*)$/gm)].map(([, value]) => value)).toEqual([
      '[local.table_arn]',
    ])
    expect(argument(block(aws, 'resource', 'aws_iam_policy', 'queue').body, 'policy')).toBe(
      'local.policy_json',
    )
    expect(aws).not.toMatch(/aws_iam_role_policy"|managed_policy_arns|inline_policy/)
  })

  it('makes the table of the reference', () => {
    const of = (type: string) =>
      blocks(table)
        .filter((b) => b.type === type)
        .map((b) => b.body)
    expect(
      Object.fromEntries(
        ['billing_mode', 'table_class', 'hash_key', 'range_key'].map((name) => [
          name,
          unquoted(argument(table, name)),
        ]),
      ),
    ).toEqual({
      billing_mode: 'PAY_PER_REQUEST',
      table_class: 'STANDARD',
      hash_key: 'queueName',
      range_key: 'entryTimestamp',
    })
    expect(of('attribute').map((body) => [argument(body, 'name'), argument(body, 'type')])).toEqual([
      ['"queueName"', '"S"'],
      ['"entryTimestamp"', '"N"'],
    ])
    expect(of('ttl').map((body) => [argument(body, 'attribute_name'), argument(body, 'enabled')])).toEqual([
      ['"lastUpdated"', 'true'],
    ])
    expect(unquoted(argument(block(aws, 'variable', 'table_name').body, 'default'))).toBe(
      'github-actions-dynamo-q-queue',
    )
  })

  evaluated('writes the policy and the trust that were meant', () => {
    const subjects = ['repo:octo-org/app:ref:refs/heads/main', 'repo:octo-org@1/app@2:*']
    const { values, out } = evaluate('turns-aws', { github_subjects: subjects }, [
      'policy_json',
      'trust_json',
      'region',
    ])
    expect(values['region'], out).toBe('eu-central-1')
    expect(JSON.parse(String(values['policy_json']))).toEqual({
      Version: '2012-10-17',
      Statement: [
        {
          Sid: 'TurnQueues',
          Effect: 'Allow',
          Action: ['UpdateItem', 'Query', 'PutItem', 'GetItem', 'DeleteItem', 'ConditionCheckItem'].map(
            (name) => `dynamodb:${name}`,
          ),
          Resource: ['arn:aws:dynamodb:eu-central-1:123456789012:table/turns'],
        },
      ],
    })
    expect(JSON.parse(String(values['trust_json']))).toEqual({
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Action: 'sts:AssumeRoleWithWebIdentity',
          Principal: {
            Federated: 'arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com',
          },
          Condition: {
            StringEquals: { 'token.actions.githubusercontent.com:aud': 'sts.amazonaws.com' },
            StringLike: { 'token.actions.githubusercontent.com:sub': subjects },
          },
        },
      ],
    })
    expect(argument(block(aws, 'resource', 'aws_iam_role', 'queue').body, 'assume_role_policy')).toBe(
      'local.trust_json',
    )
  })

  evaluated('accepts each kind of subject that names one repository', () => {
    const contexts = [
      '*',
      'pull_request',
      'environment:production eu',
      'ref:refs/heads/release/*',
      'ref:refs/tags/v*',
    ]
    const subjects = contexts.flatMap((end) => [
      `repo:octo-org/app.js:${end}`,
      `repo:octo_corp@12/a_b@34:${end}`,
    ])
    expect(evaluate('turns-aws', { github_subjects: subjects }, [])).toMatchObject({ code: 0 })
  })

  evaluated.each([
    '*',
    'repo:*',
    'repo:octo-org/*',
    'repo:octo-org/app',
    'repo:octo-org/*:ref:refs/heads/main',
    'repo:octo-org/app*:*',
    'repo:octo-org@*/app@*:*',
    'repo:octo-org@1/app:*',
    'repo:octo-org/app?:*',
    'repo:octo-org/app:environment:${aws:username}',
    'repo:octo-org/app:ref:*',
    'repo:octo-org/app:pull_request\n',
  ])('refuses the subject %j', (subject) => {
    const { code, out } = evaluate('turns-aws', { github_subjects: ['repo:octo-org/app:*', subject] }, [])
    expect(code, out).toBe(1)
    expect(out).toContain('Each of github_subjects must be')
  })

  evaluated.each([
    ['github_subjects', []],
    ['table_name', 'a table'],
    ['kms_key_arn', 'alias/turns'],
    ['role_name', 'a/b'],
    ['max_session_seconds', 60],
  ])('refuses a %s of %j', (name, value) => {
    const { code, out } = evaluate(
      'turns-aws',
      { github_subjects: ['repo:octo-org/app:*'], [name]: value },
      [],
    )
    expect([code, out.includes(`"${name}"`) || out.includes(`var.${name}`)], out).toEqual([1, true])
  })
})
