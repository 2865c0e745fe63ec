/** Opening a store, and what shows at its first call: real sockets, real time with short deadlines. */
import { createServer as createHttpServer } from 'node:http'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../kernel/clock.ts'
import { systemRandom } from '../../kernel/id.ts'
import type { Change, Store } from '../../ports/store.ts'
import { loadSdk, openDynamodbStore, type DynamodbStoreOptions } from './index.ts'

const credentials = { accessKeyId: 'AKIATEST', secretAccessKey: 'test' }
const at = ['p', '000000000000001'] as const
const put: Change[] = [{ key: at, expect: 'absent', op: 'put', value: 1 }]
const remove: Change[] = [{ key: at, expect: 'present', op: 'delete' }]

const opened: Store[] = []
const servers: Server[] = []
beforeEach(() => {
  // Nothing of this machine's own AWS settings.
  for (const name of [
    'AWS_REGION',
    'AWS_DEFAULT_REGION',
    'AWS_PROFILE',
    'AWS_ACCESS_KEY_ID',
    'AWS_SECRET_ACCESS_KEY',
  ]) {
    vi.stubEnv(name, undefined)
  }
  vi.stubEnv('AWS_CONFIG_FILE', '/nowhere/config')
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nowhere/credentials')
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
})
afterEach(async () => {
  vi.unstubAllEnvs()
  for (const store of opened.splice(0)) await store.close()
  for (const server of servers.splice(0)) await new Promise((done) => server.close(done))
})

async function open(options: Partial<DynamodbStoreOptions> = {}): Promise<Store> {
  const basics = { table: 'queue', clock: systemClock, random: systemRandom, requestTimeoutMs: 300 }
  const store = await openDynamodbStore({ ...basics, region: 'eu-west-1', credentials, ...options })
  opened.push(store)
  return store
}

/** Listens on a free port. @returns its URL */
async function listen(server: Server): Promise<string> {
  servers.push(server)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Answers reads properly; what it does to writes is the test's. */
function engineThat(treatsWrites: (socket: { destroy(): void }) => void): Server {
  return createHttpServer((request, response) => {
    const read = /GetItem|Query/.test(String(request.headers['x-amz-target']))
    request.resume()
    request.on('end', () => (read ? response.end('{}') : treatsWrites(request.socket)))
  })
}

describe('opening', () => {
  it('refuses an endpoint that is no URL, and keys of one name', async () => {
    const refusal = { code: 'config_invalid' }
    await expect(open({ endpoint: 'localhost 8000' })).rejects.toMatchObject(refusal)
    const keys = { partition: 'pk', sort: 'sk', sortType: 'string', ttl: 'ttl' } as const
    for (const wrong of [{ sort: 'pk' }, { ttl: 'sk' }, { partition: 'sbValue' }, { ttl: '' }]) {
      await expect(open({ keys: { ...keys, ...wrong } })).rejects.toMatchObject(refusal)
    }
    expect((await open({ keys })).limits.keys).toBe('ascii')
    expect((await open()).limits.keys).toBe('decimal')
  })

  it('says which package to install when it is not there', async () => {
    const missing = loadSdk(() => Promise.reject(new Error('ERR_MODULE_NOT_FOUND')))
    const message = expect.stringContaining('npm install @aws-sdk/client-dynamodb')
    await expect(missing).rejects.toMatchObject({ code: 'config_invalid', message })
  })
})

describe('the first call', () => {
  it('says that there is no region', async () => {
    const basics = { table: 'queue', clock: systemClock, random: systemRandom, credentials }
    const store = await openDynamodbStore(basics)
    opened.push(store)
    const refusal = {
      code: 'config_invalid',
      message: expect.stringContaining("table 'queue'; set AWS_REGION"),
    }
    await expect(store.get(at)).rejects.toMatchObject(refusal)
    await expect(store.commit(put)).rejects.toMatchObject(refusal)
  })

  it('says that there are no credentials', async () => {
    const basics = { table: 'queue', clock: systemClock, random: systemRandom, region: 'eu-west-1' }
    const store = await openDynamodbStore(basics)
    opened.push(store)
    const message = expect.stringMatching(/no AWS credentials for DynamoDB table 'queue' in eu-west-1/)
    await expect(store.get(at)).rejects.toMatchObject({ code: 'unauthenticated', message })
  })

  it('says that nobody listens at the endpoint', async () => {
    const endpoint = await listen(createServer())
    await new Promise((done) => servers.pop()?.close(done))
    for (const url of [endpoint, endpoint.replace('127.0.0.1', 'localhost')]) {
      const store = await open({ endpoint: url })
      const message = expect.stringMatching(new RegExp(`cannot reach .* at ${url} \\(connect ECONNREFUSED`))
      await expect(store.get(at)).rejects.toMatchObject({ code: 'unavailable', message })
    }
  })

  it('says that the host does not exist', async () => {
    const store = await open({ endpoint: 'http://no-such-host.invalid', requestTimeoutMs: 10_000 })
    await expect(store.commit(put)).rejects.toMatchObject({ code: 'unavailable' })
  })

  it('says that something else answers', async () => {
    const web = createHttpServer((_, response) => response.writeHead(404).end('<html>not here</html>'))
    const store = await open({ endpoint: await listen(web) })
    const message = expect.stringContaining('is not DynamoDB')
    await expect(store.get(at)).rejects.toMatchObject({ code: 'config_invalid', message })
  })
})

describe('a write on a real connection', () => {
  it('that is cut after it went out is unknown', async () => {
    const store = await open({ endpoint: await listen(engineThat((socket) => socket.destroy())) })
    await store.get(at)
    await expect(store.commit(put)).rejects.toMatchObject({ code: 'outcome_unknown' })
    await expect(store.commit(remove)).rejects.toMatchObject({ code: 'outcome_unknown' })
    await expect(store.commit([...put, { ...remove[0]!, key: ['q', at[1]] }])).rejects.toMatchObject({
      code: 'outcome_unknown',
    })
  })

  it('that is never answered is unknown at its deadline', async () => {
    const store = await open({ endpoint: await listen(engineThat(() => {})) })
    await store.get(at)
    const message = expect.stringContaining('no answer within 300 ms')
    await expect(store.commit(put)).rejects.toMatchObject({ code: 'outcome_unknown', message })
  })

  it('goes out on the connection of the one before', async () => {
    let connections = 0
    const engine = createHttpServer((_, response) => response.end('{}'))
    engine.on('connection', () => (connections += 1))
    const store = await open({ endpoint: await listen(engine) })
    for (let i = 0; i < 20; i++) await store.commit(put)
    expect(connections).toBe(1)
  })
})
