import { describe, expect, it } from 'vitest'
import { apiSettings, logLevel, votingEngine, workerSettings } from './settings.ts'

const at = (env: Record<string, string> = {}) => ({ env, cwd: '/home/me' })

describe('the engines of the voting service', () => {
  it('are embedded, in ./data, unless something else is said', () => {
    expect(votingEngine({}, at())).toEqual({ kind: 'embedded', directory: '/home/me/data' })
    expect(votingEngine({ dataDir: 'x' }, at({ AWS_REGION: 'eu-west-1' }))).toEqual({
      kind: 'embedded',
      directory: '/home/me/x',
    })
    expect(votingEngine({}, at({ SIGNALBOX_DATA_DIR: '/d', AWS_REGION: 'eu-west-1' }))).toEqual({
      kind: 'embedded',
      directory: '/d',
    })
    expect(votingEngine({ engine: 'embedded' }, at({ AWS_REGION: 'eu-west-1' })).kind).toBe('embedded')
  })

  it.each([
    { AWS_REGION: 'eu-west-1' },
    { DYNAMODB_ENDPOINT_URL: 'http://x:1' },
    { AWS_SQS_ENDPOINT_URL: 'http://x:2' },
  ])('are DynamoDB and SQS with %j', (env) => expect(votingEngine({}, at(env)).kind).toBe('aws'))

  it('take region and endpoints from the variables of the reference', () => {
    const env = {
      AWS_REGION: 'eu-west-1',
      DYNAMODB_ENDPOINT_URL: 'http://x:1',
      AWS_SQS_ENDPOINT_URL: 'http://x:2',
    }
    expect(votingEngine({}, at(env))).toEqual({
      kind: 'aws',
      region: 'eu-west-1',
      dynamodb: 'http://x:1',
      sqs: 'http://x:2',
    })
    expect(() => votingEngine({ engine: 'mongo' }, at())).toThrow(/must be embedded or aws/)
  })
})

describe('the API', () => {
  it('refuses to start without a key, unless it is for development on this machine', () => {
    for (const env of [{}, { API_KEY: ' ' }]) {
      expect(() => apiSettings({}, at(env))).toThrow(/API_KEY: not set/)
      expect(apiSettings({ dev: true }, at(env)).apiKey).toBeUndefined()
      expect(() => apiSettings({ dev: true, host: '0.0.0.0' }, at(env))).toThrow(/not of this machine alone/)
    }
    expect(apiSettings({ dev: true, host: '0.0.0.0' }, at({ API_KEY: 'k' })).apiKey).toBe('k')
  })

  it('listens at 8081, or where it is told', () => {
    const env = { API_KEY: 'k' }
    expect(apiSettings({}, at(env))).toMatchObject({
      host: '127.0.0.1',
      port: 8081,
      origins: [],
      requireActive: false,
    })
    expect(apiSettings({}, at({ ...env, PORT: '9000' })).port).toBe(9000)
    expect(apiSettings({ port: '0' }, at({ ...env, PORT: '9000' })).port).toBe(0)
    expect(() => apiSettings({ port: '70000' }, at(env))).toThrow(/--port/)
  })

  it('takes a list of origins, and says which is none', () => {
    const of = (text: string) => apiSettings({}, at({ API_KEY: 'k', API_CORS_ORIGINS: text })).origins
    expect(of('http://localhost:8000, https://localhost:8083/')).toEqual([
      'http://localhost:8000',
      'https://localhost:8083',
    ])
    expect(of('*')).toEqual(['*'])
    expect(() => of('localhost')).toThrow(/API_CORS_ORIGINS: 'localhost'/)
  })

  it('requires active topics when it is told to', () => {
    const of = (text: string) =>
      apiSettings({}, at({ API_KEY: 'k', VOTES_REQUIRE_ACTIVE: text })).requireActive
    expect([of('1'), of('true'), of('0'), of('')]).toEqual([true, true, false, false])
    expect(() => of('maybe')).toThrow(/VOTES_REQUIRE_ACTIVE/)
  })
})

describe('a worker', () => {
  it('has its defaults and its bounds', () => {
    const metrics = { host: '0.0.0.0', port: 9191 }
    expect(workerSettings({})).toEqual({ concurrency: 4, visibilityMs: 30_000, metrics })
    expect(workerSettings({ metrics: 'off' }).metrics).toBeUndefined()
    expect(workerSettings({ metrics: '127.0.0.1:0' }).metrics).toEqual({ host: '127.0.0.1', port: 0 })
    expect(() => workerSettings({ visibility: '100ms' })).toThrow(/1s to 15m/)
    expect(() => workerSettings({ concurrency: '0' })).toThrow(/--concurrency/)
    expect(() => logLevel({ logLevel: 'loud' })).toThrow(/--log-level/)
  })
})
