/** The settings of EventBridge: in our words, and in those that users of the program before have. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig, type Environment } from './load.ts'

const KEY = 'CC55F3F5-F55F-43F8-A90E-3F8D34211FC5'
const ROLE = 'arn:aws:iam::297649722856:role/SeveralEventBridgeRequiredPermissions'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'signalbox-config-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

const load = (env: Environment = {}, text?: string) => {
  if (text !== undefined) writeFileSync(join(cwd, 'signalbox.yaml'), text)
  return loadConfig({ cwd, env })
}

async function problems(env: Environment, text?: string): Promise<string[]> {
  const error = await load(env, text).then(
    () => new Error('it was accepted'),
    (thrown: unknown) => thrown as Error,
  )
  return error.message.split('\n')
}

const TRIGGER = { SIGNALBOX_SCHEDULES_TRIGGER: 'eventbridge' }
const wanted = {
  apiKey: KEY,
  targetRoleArn: ROLE,
  apiConnectionName: 'MyProject-test-linux-RunJob-Connection',
  apiDestinationName: 'MyProject-test-linux-RunJob-ApiDestination',
  authHeader: 'X-Aws-Event-Bridge-Api-Key',
}
const section = {
  APIKey: KEY,
  TargetRoleArn: ROLE,
  ApiConnectionName: wanted.apiConnectionName,
  ApiDestinationName: wanted.apiDestinationName,
}
const variables = Object.fromEntries(
  Object.entries(section).map(([name, value]) => [`AwsEventBridgeSettings__${name}`, value]),
)

describe('the settings of the program before', () => {
  it('are taken as variables, and the address too', async () => {
    const env = { ...TRIGGER, ...variables, EB_TARGET_URL: 'https://a.ngrok.app', AWS_REGION: 'eu-west-2' }
    const { config, warnings } = await load(env)
    expect(config.schedules.eventBridge).toEqual({
      ...wanted,
      targetUrl: 'https://a.ngrok.app',
      region: 'eu-west-2',
    })
    expect(warnings).toEqual([])
  })

  it('are taken as a section of the file, of YAML or JSON', async () => {
    const json = JSON.stringify({ schedules: { trigger: 'eventbridge' }, AwsEventBridgeSettings: section })
    expect((await load({}, json)).config.schedules.eventBridge).toEqual(wanted)
    const yaml =
      'schedules: { trigger: eventbridge }\nAwsEventBridgeSettings:\n  APIKey: ${KEY}\n  AuthHeader: X-Key\n'
    const { config, entries } = await load({ KEY }, yaml)
    expect(config.schedules.eventBridge).toEqual({ apiKey: KEY, authHeader: 'X-Key' })
    const entry = entries.find(({ key }) => key.path === 'schedules.eventBridge.authHeader')
    expect(entry?.where).toBe('signalbox.yaml:4')
  })

  it('are taken as one variable with JSON, weaker than single ones', async () => {
    const env = {
      ...TRIGGER,
      AwsEventBridgeSettings: JSON.stringify(section),
      AwsEventBridgeSettings__ApiConnectionName: 'other',
    }
    expect((await load(env)).config.schedules.eventBridge).toEqual({ ...wanted, apiConnectionName: 'other' })
  })

  it('are weaker than ours', async () => {
    const env = { ...TRIGGER, ...variables, SIGNALBOX_SCHEDULES_EVENT_BRIDGE_API_CONNECTION_NAME: 'ours' }
    expect((await load(env)).config.schedules.eventBridge.apiConnectionName).toBe('ours')
  })

  it('count for nothing where something else fires schedules', async () => {
    const env = { ...variables, AwsEventBridgeSettings__APIKey: 'short', EB_TARGET_URL: 'nonsense' }
    expect((await load(env)).config.schedules.eventBridge).toEqual({ authHeader: wanted.authHeader })
  })
})

describe('what cannot work', () => {
  it('is named, without the key', async () => {
    const env = {
      ...TRIGGER,
      AwsEventBridgeSettings__APIKey: 'secret',
      AwsEventBridgeSettings__TargetRoleArn: 'role',
      EB_TARGET_URL: 'example.org',
      AwsEventBridgeSettings__AuthHeader: 'content-type',
    }
    const all = await problems(env)
    expect(all).toHaveLength(4)
    expect(all[0]).toMatch(
      /^AwsEventBridgeSettings__APIKey: schedules\.eventBridge\.apiKey: \(secret\) is not a key/,
    )
    expect(all.join('\n')).not.toContain("'secret'")
  })

  it('is named in the section', async () => {
    expect(await problems({}, 'AwsEventBridgeSettings:\n  ApiKey: x\n')).toEqual([
      'signalbox.yaml:2: AwsEventBridgeSettings.ApiKey: unknown key; it has APIKey, PreviousAPIKey, TargetRoleArn, ApiConnectionName, ApiDestinationName, AuthHeader',
    ])
  })

  it('is named in the JSON', async () => {
    const [first] = await problems({ ...TRIGGER, AwsEventBridgeSettings: '{"APIKey":' })
    expect(first).toMatch(/^AwsEventBridgeSettings: is not JSON of APIKey, /)
    const [second] = await problems({ ...TRIGGER, AwsEventBridgeSettings: '{"Apikey":"x"}' })
    expect(second).toMatch(/^AwsEventBridgeSettings: is not JSON of APIKey, /)
  })
})

it('never shows the keys', async () => {
  const { entries } = await load({ ...TRIGGER, ...variables })
  const secret = entries.filter(({ key }) => key.secret).map(({ key }) => key.path)
  expect(secret).toEqual(
    expect.arrayContaining(['schedules.eventBridge.apiKey', 'schedules.eventBridge.previousApiKey']),
  )
})
