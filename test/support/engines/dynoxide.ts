/**
 * dynoxide (https://github.com/nubo-db/dynoxide): DynamoDB in one binary that comes in an npm package, so that `npm test`
 * needs nothing else. Its transactions never conflict with each other; where no package carries it for this platform,
 * DynamoDB Local takes its place.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { freePort, root } from '../processes.ts'
import { localCredentials, type DynamodbEngine } from './dynamodb.ts'
import { startDynamodbLocal } from './dynamodb-local.ts'
import { launch } from './launch.ts'

/** @throws Error when neither is there; a suite without an engine must fail, not pass unseen. */
export async function startDynoxide(): Promise<DynamodbEngine> {
  const binary = findBinary()
  if (binary === undefined) return startDynamodbLocal()
  const port = await freePort()
  const endpoint = `http://127.0.0.1:${port}`
  const stop = await launch('dynoxide', endpoint, binary, ['--port', String(port)])
  return { endpoint, region: 'eu-west-1', credentials: localCredentials, stop }
}

function findBinary(): string | undefined {
  const require = createRequire(join(root, 'tools/engines/package.json'))
  try {
    return require.resolve(`@dynoxide/${process.platform}-${process.arch}/dynoxide`)
  } catch {
    return undefined
  }
}
