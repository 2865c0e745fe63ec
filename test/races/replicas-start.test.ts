/** What a server on a cloud store says when it cannot start: one line, and what to do. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { endProcesses, freePort, signalbox } from '../support/processes.ts'
import { startReplica, storeEnv } from '../support/replicas.ts'
import { openArena, type Arena } from './serverless/place.ts'

let arena: Arena
beforeAll(async () => {
  arena = await openArena('DynamoDB')
})
afterAll(async () => {
  await arena.close()
  endProcesses()
})

/** This machine's own AWS settings, which must not find their way in. */
const blank = Object.fromEntries(
  [
    'REGION',
    'DEFAULT_REGION',
    'PROFILE',
    'CONTAINER_CREDENTIALS_RELATIVE_URI',
    'CONTAINER_CREDENTIALS_FULL_URI',
    'WEB_IDENTITY_TOKEN_FILE',
  ].map((name) => [`AWS_${name}`, undefined]),
)

/** Exit code and message of a server that does not start. @param env in place of that of the arena */
async function refusal(
  args: readonly string[],
  env: NodeJS.ProcessEnv = storeEnv(arena.place),
): Promise<[unknown, string]> {
  const port = String(await freePort())
  const serve = signalbox(['serve', '--store', 'dynamodb', '--port', port, ...args], {
    env: { ...blank, ...env },
  })
  return [await serve.exited, serve.err().trim()]
}

it('names a table that is not there', async () => {
  const [code, said] = await refusal([], {
    ...storeEnv(arena.place),
    SIGNALBOX_STORE_DYNAMODB_TABLE: 'no-such-table',
  })
  expect(code).not.toBe(0)
  expect(said).toMatch(/^signalbox: .*no-such-table.* does not exist; .*queueName.*entryTimestamp/)
  expect(said).not.toContain('\n')
})

it('names what is missing to find the table', async () => {
  const { AWS_REGION: _, ...env } = storeEnv(arena.place)
  const [code, said] = await refusal([], { ...env, AWS_CONFIG_FILE: '/dev/null' })
  expect([code, said]).toEqual([78, expect.stringMatching(/^signalbox: .*region.*AWS_REGION$/)])
})

it('asks for a first token where there is no socket to make it on', async () => {
  for (const args of [
    ['--host', '0.0.0.0'],
    ['--auth', 'required'],
    ['--insecure', '--auth', 'required'],
  ]) {
    const [code, said] = await refusal(args)
    expect(code).toBe(78)
    expect(said).toMatch(
      /there is no token yet to sign in with; start one with --host 127\.0\.0\.1 .*'signalbox token create --name admin --role admin --url http:\/\/127\.0\.0\.1:\d+'/,
    )
  }
})

it('starts with it, wherever it was made, and trusts nobody by a socket', async () => {
  const first = await startReplica(arena.place)
  const made = signalbox(['token', 'create', '--name', 'admin', '--role', 'admin', '--url', first.url])
  expect(await made.exited).toBe(0)
  await first.stop()
  const second = await startReplica(arena.place, { env: { SIGNALBOX_SERVER_AUTH: 'required' } })
  const list = (env: Record<string, string>): Promise<number | string> =>
    signalbox(['token', 'list', '--url', second.url], { env }).exited
  expect(await list({})).toBe(77)
  expect(await list({ SIGNALBOX_TOKEN: made.out().trim() })).toBe(0)
  await second.stop()
})
