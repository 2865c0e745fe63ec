/** DynamoDB Local, by AWS: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.html */
import { join } from 'node:path'
import { freePort } from '../processes.ts'
import { localCredentials, type DynamodbEngine } from './dynamodb.ts'
import { installedEngine, launch } from './launch.ts'

const MAIN = 'software.amazon.dynamodb.services.local.main.ServerRunner'

export async function startDynamodbLocal(): Promise<DynamodbEngine> {
  const folder = installedEngine('dynamodb-local')
  const port = await freePort()
  const endpoint = `http://127.0.0.1:${port}`
  const java = ['-cp', join(folder, '*'), `-Djava.library.path=${folder}`, MAIN]
  const args = [...java, '-inMemory', '-sharedDb', '-disableTelemetry', '-port', String(port)]
  const stop = await launch('DynamoDB Local', endpoint, 'java', args)
  return { endpoint, region: 'eu-west-1', credentials: localCredentials, stop }
}
