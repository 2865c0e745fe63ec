import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { defaultProvider, leaseProviders } from '../lease-config.ts'
import { loadConfig, type Environment, type LoadedConfig } from './load.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'signalbox-config-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

function load(text: string, env: Environment = {}, flags = {}): Promise<LoadedConfig> {
  writeFileSync(join(cwd, 'signalbox.yaml'), text)
  return loadConfig({ cwd, env, flags })
}

async function problems(text: string, env: Environment = {}): Promise<string[]> {
  const error = await load(text, env).then(
    () => new Error('it was accepted'),
    (thrown: unknown) => thrown as Error,
  )
  return error.message.split('\n')
}

const shop = 'repositories:\n  - owner: acme\n    name: shop\n    base_ref: release/1.2\n'

describe('repositories', () => {
  it('take what they do not say from the flags', async () => {
    const { config } = await load(`${shop}    ttl_seconds: 200\n`, {}, { 'leases.expectedBuildCount': '7' })
    expect(leaseProviders(config)).toEqual([
      {
        name: { owner: 'acme', repo: 'shop', baseRef: 'release/1.2' },
        config: { ...defaultProvider(config.leases), ttlMs: 200_000 },
      },
    ])
    expect(defaultProvider(config.leases)).toEqual({
      stabilizeMs: 300_000,
      ttlMs: 30_000,
      expectedCount: 7,
      delayCount: 0,
      maxLeaseMs: 21_600_000,
      coolDownMs: 0,
    })
  })

  it('may hold placeholders, also for numbers', async () => {
    const text = `${shop}    ttl_seconds: \${TTL:-30}\n    stabilize_duration_seconds: \${WINDOW}\n`
    const { config } = await load(text, { WINDOW: '9' })
    expect(config.repositories?.[0]).toMatchObject({ ttl_seconds: 30, stabilize_duration_seconds: 9 })
    expect(await problems(text)).toEqual([
      'signalbox.yaml:2: repositories: ${WINDOW} is not set; set the variable WINDOW or write ${WINDOW:-default}',
    ])
  })

  it('may come as JSON from the environment', async () => {
    const { config } = await load('{}', {
      SIGNALBOX_REPOSITORIES: '[{"owner":"a","name":"b","base_ref":"c"}]',
    })
    expect(config.repositories).toEqual([{ owner: 'a', name: 'b', base_ref: 'c' }])
  })

  it.each([
    ['ttl_seconds: 0', 5, 'ttl_seconds: 0 is not a whole number'],
    ['ttl_seconds: -1', 5, 'ttl_seconds: -1 is not a whole number'],
    ['ttl_seconds: soon', 5, "ttl_seconds: 'soon' is not a whole number"],
    ['stabilize_duration_seconds: -1', 5, 'stabilize_duration_seconds: -1 is not'],
    ['expected_request_count: 1.5', 5, 'expected_request_count: 1.5 is not'],
    ['max_lease_seconds: 0', 5, 'max_lease_seconds: 0 is not'],
  ])('that cannot work are refused with their line: %s', async (line, at, problem) => {
    const [first = ''] = await problems(`${shop}    ${line}\n`)
    expect(first).toContain(`signalbox.yaml:${at}: repositories[0].${problem}`)
  })

  it.each(['api', 'docs', 'assets', 'k8s', 'console', 'hooks', 'metrics', 'a/b', 'a:b'])(
    'may not belong to %s',
    async (owner) => {
      const [first] = await problems(`repositories:\n  - owner: "${owner}"\n    name: x\n    base_ref: y\n`)
      expect(first).toContain(`signalbox.yaml:2: repositories[0].owner: '${owner}' is not an owner`)
    },
  )

  it('may not be listed twice', async () => {
    const again = shop.replace('repositories:\n', '')
    expect(await problems(`${shop}${again}`)).toEqual([
      "signalbox.yaml:5: repositories[1]: 'acme/shop@release/1.2' is listed twice (first as repositories[0]); keep one of the two",
    ])
  })

  it('have no other keys, and no fewer', async () => {
    const [missing, unknown] = await problems('repositories:\n  - owner: a\n    name: b\n    tttl: 1\n')
    expect(missing).toContain('signalbox.yaml:2: repositories[0].base_ref: nothing is not a base ref')
    expect(unknown).toContain('signalbox.yaml:2: repositories[0]:')
    expect(unknown).toContain('has the unknown key tttl')
  })
})

describe('auth.basic', () => {
  it('lists users, whose passwords are never shown', async () => {
    const { config, entries } = await load('auth:\n  basic:\n    users:\n      ci: ${PW}\n', { PW: 's3cret' })
    expect(config.auth.basic).toEqual({ users: { ci: 's3cret' } })
    expect(entries.find(({ key }) => key.path === 'auth.basic')?.key.secret).toBe(true)
    const [first = ''] = await problems('auth:\n  basic:\n    users:\n      ci: [hunter2]\n')
    expect(first).toContain('signalbox.yaml:4: auth.basic.users.ci: (secret) is not')
    expect(first).not.toContain('hunter2')
  })
})
