/**
 * The AWS module for voting has the tables that deploy/voting defines, and lets API, worker and verify do what they do and nothing
 * more: read from its text, and evaluated by Terraform where that is installed.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { recordVote } from '../../src/voting/worker.ts'
import { root } from '../support/processes.ts'
import { tableDefinition } from '../support/voting-tables.ts'
import { argument, block, blocks, source, unquoted } from './hcl.ts'
import { evaluate, terraform } from './tools.ts'

const aws = source('voting-aws')
const evaluated = it.skipIf(terraform === undefined)

interface Statement {
  readonly Sid: string
  readonly Action: readonly string[]
}

const POLICIES: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  api: {
    Topics: ['dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:Scan'],
    VotesAndTallies: ['dynamodb:BatchGetItem'],
    VotesByTime: ['dynamodb:Query'],
    Cast: ['sqs:SendMessage', 'sqs:GetQueueAttributes', 'sqs:GetQueueUrl'],
  },
  worker: {
    Count: ['dynamodb:GetItem', 'dynamodb:BatchGetItem', 'dynamodb:PutItem'],
    Receive: [
      'sqs:ReceiveMessage',
      'sqs:DeleteMessage',
      'sqs:ChangeMessageVisibility',
      'sqs:GetQueueAttributes',
      'sqs:GetQueueUrl',
    ],
    GiveUp: ['sqs:SendMessage', 'sqs:GetQueueAttributes', 'sqs:GetQueueUrl'],
  },
  verify: {
    ListTopics: ['dynamodb:Scan'],
    Recount: ['dynamodb:GetItem', 'dynamodb:BatchGetItem', 'dynamodb:PutItem', 'dynamodb:Scan'],
  },
}

describe('the AWS module for voting', () => {
  it.each(['topics', 'votes'] as const)('has the table %s as it is defined for the AWS CLI', (name) => {
    const table = block(aws, 'resource', 'aws_dynamodb_table', name).body
    const defined = tableDefinition(name)
    const key = (type: string): string | undefined =>
      defined.KeySchema?.find((each) => each.KeyType === type)?.AttributeName
    expect([unquoted(argument(table, 'name')), unquoted(argument(table, 'hash_key'))]).toEqual([
      defined.TableName,
      key('HASH'),
    ])
    expect(unquoted(argument(table, 'billing_mode'))).toBe(defined.BillingMode)
    const attributes = blocks(table)
      .filter(({ type }) => type === 'attribute')
      .map(({ body }) => ({
        AttributeName: unquoted(argument(body, 'name')),
        AttributeType: unquoted(argument(body, 'type')),
      }))
    expect(attributes).toEqual(defined.AttributeDefinitions)
    const indexes = blocks(table)
      .filter(({ type }) => type === 'global_secondary_index')
      .map(({ body }) => ({
        IndexName: unquoted(argument(body, 'name')),
        KeySchema: [
          { AttributeName: unquoted(argument(body, 'hash_key')), KeyType: 'HASH' },
          { AttributeName: unquoted(argument(body, 'range_key')), KeyType: 'RANGE' },
        ],
        Projection: { ProjectionType: unquoted(argument(body, 'projection_type')) },
      }))
    expect(indexes).toEqual(defined.GlobalSecondaryIndexes ?? [])
  })

  it('has the queues that the job expects, and lets it have all its attempts', () => {
    const queue = block(aws, 'resource', 'aws_sqs_queue', 'votes').body
    expect(unquoted(argument(queue, 'name'))).toBe(recordVote.queue)
    expect(unquoted(argument(block(aws, 'resource', 'aws_sqs_queue', 'dead_letter').body, 'name'))).toBe(
      'votes-dead',
    )
    expect(queue).toMatch(/deadLetterTargetArn = aws_sqs_queue\.dead_letter\.arn/)
    const receives = block(aws, 'variable', 'max_receives').body
    expect(Number(argument(receives, 'default'))).toBe(recordVote.definition.retry.attempts + 10)
  })

  it('has no action but those of the three policies, each on one resource', () => {
    const actions = [...aws.matchAll(/"((?:dynamodb|sqs):\w+)"/g)].map(([, action = '']) => action)
    const meant = Object.values(POLICIES).flatMap((policy) => Object.values(policy).flat())
    expect(actions.toSorted()).toEqual(meant.toSorted())
    expect(aws).not.toMatch(/"\w+:\*"|Resource\s*=\s*\[?"|Principal/)
    for (const name of Object.keys(POLICIES)) {
      const policy = block(aws, 'resource', 'aws_iam_policy', name).body
      expect(argument(policy, 'policy')).toBe(`local.${name}_policy_json`)
    }
  })

  it('allows what the ledger calls, and nothing else of DynamoDB', () => {
    const ledger = join(root, 'src/voting/ledger/dynamodb')
    const called = readdirSync(ledger)
      .filter((file) => !file.endsWith('.test.ts'))
      .flatMap((file) => [...readFileSync(join(ledger, file), 'utf8').matchAll(/sdk\.(\w+)Command\(/g)])
      // A transaction of puts needs the permission to put.
      .map(([, operation = '']) => `dynamodb:${operation === 'TransactWriteItems' ? 'PutItem' : operation}`)
    const allowed = Object.values(POLICIES).flatMap((policy) => Object.values(policy).flat())
    expect([...new Set(called)].toSorted()).toEqual(
      [...new Set(allowed.filter((action) => action.startsWith('dynamodb:')))].toSorted(),
    )
  })

  evaluated.each(Object.keys(POLICIES))('writes the policy %s that was meant', (name) => {
    const { values, out } = evaluate('voting-aws', {}, [`${name}_policy_json`])
    expect(values, out).toHaveProperty(`${name}_policy_json`)
    const policy = JSON.parse(String(values[`${name}_policy_json`])) as {
      readonly Statement: readonly Statement[]
    }
    const statements = policy.Statement.map(({ Sid, Action }) => [Sid, Action] as const)
    expect(Object.fromEntries(statements)).toEqual(POLICIES[name])
  })

  evaluated.each([
    ['name', 'a name'],
    ['visibility_seconds', 0],
    ['retention_seconds', 59],
    ['max_receives', 29],
  ])('refuses a %s of %j', (name, value) => {
    const { code, out } = evaluate('voting-aws', { [name]: value }, [])
    expect([code, out.includes(`"${name}"`) || out.includes(`var.${name}`)], out).toEqual([1, true])
  })
})
