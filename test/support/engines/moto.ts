/**
 * moto, many people's stand-in for AWS: https://docs.getmoto.org/en/latest/docs/server_mode.html. It can judge signatures
 * and IAM policies, once told to. `moto_server.py` says what of it is put right.
 */
import { join } from 'node:path'
import type { AwsCredentials } from '../../../src/drivers/dynamodb/index.ts'
import { freePort } from '../processes.ts'
import { localCredentials, type DynamodbEngine } from './dynamodb.ts'
import { installedEngine, launch } from './launch.ts'

export interface MotoEngine extends DynamodbEngine {
  /** A new user who may do these actions on this resource. */
  createUser(actions: readonly string[], resource: string): Promise<AwsCredentials>
  /** From now on every request must be signed by a user whose policy allows it. */
  enforcePolicies(): Promise<void>
}

/** The account that everything in moto belongs to. */
export const MOTO_ACCOUNT = '123456789012'

export async function startMoto(): Promise<MotoEngine> {
  const folder = installedEngine('moto')
  const port = await freePort()
  const endpoint = `http://127.0.0.1:${port}`
  const python = join(folder, process.platform === 'win32' ? 'Scripts' : 'bin', 'python')
  const server = join(import.meta.dirname, 'moto_server.py')
  const stop = await launch('moto', endpoint, python, [server, '--port', String(port)])
  return {
    endpoint,
    region: 'eu-west-1',
    credentials: localCredentials,
    stop,
    createUser: (actions, resource) => createUser(endpoint, actions, resource),
    enforcePolicies: async () => {
      await fetch(`${endpoint}/moto-api/reset-auth`, { method: 'POST', body: '0' })
    },
  }
}

let users = 0

async function createUser(
  endpoint: string,
  actions: readonly string[],
  resource: string,
): Promise<AwsCredentials> {
  const UserName = `user-${++users}`
  const statement = { Effect: 'Allow', Action: actions, Resource: [resource] }
  await iam(endpoint, { Action: 'CreateUser', UserName })
  await iam(endpoint, {
    Action: 'PutUserPolicy',
    UserName,
    PolicyName: 'only',
    PolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: [statement] }),
  })
  const answer = await iam(endpoint, { Action: 'CreateAccessKey', UserName })
  const field = (name: string): string => new RegExp(`<${name}>(.+?)</${name}>`).exec(answer)?.[1] ?? ''
  return { accessKeyId: field('AccessKeyId'), secretAccessKey: field('SecretAccessKey') }
}

/** One call of the IAM API, unsigned: the header only tells moto which service is meant. */
async function iam(endpoint: string, parameters: Readonly<Record<string, string>>): Promise<string> {
  const scope = 'Credential=AKIATEST/20260101/us-east-1/iam/aws4_request'
  const answer = await fetch(endpoint, {
    method: 'POST',
    headers: { authorization: `AWS4-HMAC-SHA256 ${scope}, SignedHeaders=host, Signature=0` },
    body: new URLSearchParams({ Version: '2010-05-08', ...parameters }),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`moto refused ${parameters['Action']}: ${text}`)
  return text
}
