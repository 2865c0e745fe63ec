/**
 * The AWS module for message queues lets who receives receive and who sends send, and nothing more: read from its text, and
 * evaluated by Terraform where that is installed (terraform.test.ts says so where it is not).
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '../support/processes.ts'
import { argument, block, source } from './hcl.ts'
import { evaluate, terraform } from './tools.ts'

const aws = source('messages-aws')
const evaluated = it.skipIf(terraform === undefined)

const driver = join(root, 'src/drivers/sqs')
const QUEUE = 'arn:aws:sqs:eu-central-1:123456789012:orders'
const KEY = 'arn:aws:kms:eu-central-1:123456789012:key/1'
const PROVIDER = 'arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/AB12'
const CONSUMER = [
  'sqs:ReceiveMessage',
  'sqs:DeleteMessage',
  'sqs:ChangeMessageVisibility',
  'sqs:GetQueueAttributes',
  'sqs:GetQueueUrl',
]
const PRODUCER = ['sqs:SendMessage', 'sqs:GetQueueAttributes', 'sqs:GetQueueUrl']

/** A local of the module that is JSON, for this input. */
function json(name: string, input: Readonly<Record<string, unknown>> = {}): unknown {
  const { values, out } = evaluate('messages-aws', input, [name])
  expect(values, out).toHaveProperty(name)
  return JSON.parse(String(values[name]))
}

function policy(...Statement: object[]): unknown {
  return { Version: '2012-10-17', Statement }
}

describe('the AWS module for messages', () => {
  it('has no action but those of the two policies, the key and the trust', () => {
    const actions = [...aws.matchAll(/"((?:sqs|kms|sts):\w+)"/g)].map(([, action = '']) => action)
    expect(actions.sort()).toEqual(
      [
        ...CONSUMER,
        ...PRODUCER,
        'kms:Decrypt',
        'kms:Decrypt',
        'kms:GenerateDataKey',
        'sts:AssumeRole',
        'sts:AssumeRoleWithWebIdentity',
        'sts:TagSession',
      ].sort(),
    )
    expect(aws).not.toMatch(
      /"\w+:\*"|Resource\s*=\s*\[?"\*|aws_iam_role_policy"|managed_policy_arns|inline_policy/,
    )
    const resources = [...aws.matchAll(/Resource = (\[[^\]]*\])/g)].map(([, resource]) => resource)
    expect(resources).toEqual(['[aws_sqs_queue.queue.arn]', '[key]', '[aws_sqs_queue.queue.arn]', '[key]'])
  })

  it('allows what the driver calls, and nothing else', () => {
    // A batch needs the permission of its single operation; emptying a queue is an operator's work.
    const called = readdirSync(driver)
      .filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts'))
      .flatMap((file) => [
        ...readFileSync(join(driver, file), 'utf8').matchAll(/sdk\.(\w+?)(?:Batch)?Command\(/g),
      ])
      .map(([, operation = '']) => `sqs:${operation}`)
    expect(called).not.toEqual([])
    expect([...new Set([...CONSUMER, ...PRODUCER, 'sqs:PurgeQueue'])].toSorted()).toEqual(
      [...new Set(called)].toSorted(),
    )
  })

  it('gives the queue a dead-letter queue that is its alone', () => {
    const queue = block(aws, 'resource', 'aws_sqs_queue', 'queue').body
    expect(queue).toMatch(/deadLetterTargetArn = aws_sqs_queue\.dead_letter\.arn/)
    expect(queue).toMatch(/maxReceiveCount\s+= var\.max_receives/)
    const allowed = block(aws, 'resource', 'aws_sqs_queue_redrive_allow_policy', 'dead_letter').body
    expect(allowed).toMatch(/redrivePermission = "byQueue"/)
    expect(allowed).toMatch(/sourceQueueArns\s+= \[aws_sqs_queue\.queue\.arn\]/)
    expect(argument(queue, 'name')).toBe('"${var.name}${local.suffix}"')
  })

  it('attaches to the role what its pods may do', () => {
    for (const [name, may] of [
      ['consumer', 'consume'],
      ['producer', 'produce'],
    ] as const) {
      const attachment = block(aws, 'resource', 'aws_iam_role_policy_attachment', name).body
      expect(argument(attachment, 'count')).toContain(`contains(var.pods_may, "${may}")`)
      expect(argument(attachment, 'policy_arn')).toBe(`aws_iam_policy.${name}.arn`)
      const written = block(aws, 'resource', 'aws_iam_policy', name).body
      expect(argument(written, 'policy')).toBe(`local.${name}_policy_json`)
    }
    const role = block(aws, 'resource', 'aws_iam_role', 'pods').body
    expect(argument(role, 'assume_role_policy')).toBe('local.trust_json')
  })

  evaluated('writes the two policies that were meant', () => {
    const consume = { Sid: 'Consume', Effect: 'Allow', Action: CONSUMER, Resource: [QUEUE] }
    const produce = { Sid: 'Produce', Effect: 'Allow', Action: PRODUCER, Resource: [QUEUE] }
    expect(json('consumer_policy_json')).toEqual(policy(consume))
    expect(json('producer_policy_json')).toEqual(policy(produce))
    const key = (Sid: string, ...Action: string[]): object => ({
      Sid,
      Effect: 'Allow',
      Action,
      Resource: [KEY],
    })
    expect(json('consumer_policy_json', { kms_key_arn: KEY })).toEqual(
      policy(consume, key('ConsumeKey', 'kms:Decrypt')),
    )
    expect(json('producer_policy_json', { kms_key_arn: KEY })).toEqual(
      policy(produce, key('ProduceKey', 'kms:Decrypt', 'kms:GenerateDataKey')),
    )
  })

  evaluated('trusts the pods of one service account, by Pod Identity or by their token', () => {
    const service_account = { namespace: 'shop', name: 'orders' }
    expect(json('trust_json', { service_account, pod_identity_cluster: 'production' })).toEqual(
      policy({
        Effect: 'Allow',
        Action: ['sts:AssumeRole', 'sts:TagSession'],
        Principal: { Service: 'pods.eks.amazonaws.com' },
        Condition: {
          StringEquals: {
            'aws:RequestTag/kubernetes-namespace': 'shop',
            'aws:RequestTag/kubernetes-service-account': 'orders',
          },
        },
      }),
    )
    const issuer = 'oidc.eks.eu-central-1.amazonaws.com/id/AB12'
    expect(json('trust_json', { service_account, oidc_provider_arn: PROVIDER })).toEqual(
      policy({
        Effect: 'Allow',
        Action: ['sts:AssumeRoleWithWebIdentity'],
        Principal: { Federated: PROVIDER },
        Condition: {
          StringEquals: {
            [`${issuer}:aud`]: 'sts.amazonaws.com',
            [`${issuer}:sub`]: 'system:serviceaccount:shop:orders',
          },
        },
      }),
    )
    expect(json('trust_json')).toEqual(policy())
  })

  evaluated.each([
    ['name', 'a queue'],
    ['name', 'orders.fifo'],
    ['visibility_seconds', 43201],
    ['delay_seconds', 901],
    ['retention_seconds', 59],
    ['dead_letter_retention_seconds', 1209601],
    ['max_receives', 0],
    ['max_message_bytes', 1048577],
    ['kms_key_arn', 'alias/orders'],
    ['service_account', { namespace: '*', name: 'orders' }],
    ['oidc_provider_arn', 'https://oidc.example'],
    ['pods_may', []],
    ['pods_may', ['consume', 'purge']],
  ])('refuses a %s of %j', (name, value) => {
    const { code, out } = evaluate('messages-aws', { [name]: value }, [])
    expect([code, out.includes(`"${name}"`) || out.includes(`var.${name}`)], out).toEqual([1, true])
  })
})
