/** Who a job is to the server: a header, a token, or the ID token that GitHub gives it; what of that shows in logs. */
import { readFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startOidcIssuer, type OidcIssuerServer } from '../support/oidc-issuer.ts'
import { freePort, signalbox, type ServerProcess } from '../support/processes.ts'
import { groupEnv, startLeaseServer } from './merge-queue.ts'
import { Job, killJobs, type Step, type StepResult } from './runner.ts'

let server: ServerProcess
let issuer: OidcIssuerServer
const basic = (password: string): string => `Basic ${Buffer.from(`ci:${password}`).toString('base64')}`
const BASIC = basic('hunter2hunter2')

beforeAll(async () => {
  issuer = await startOidcIssuer(() => Date.now())
  const port = await freePort()
  const rule = "{ repository: acme/shop, role: operator, scopes: ['leases:acme/*', 'turns:*'] }"
  const oidc = `  oidc:\n    - { issuer: '${issuer.issuer}', audience: 'http://127.0.0.1:${port}', rules: [${rule}] }\n`
  const basic = '  basic: { users: { ci: hunter2hunter2 } }\n'
  server = await startLeaseServer(`auth:\n${oidc}${basic}`, { port })
})
afterAll(async () => {
  await server.stop()
  await issuer.close()
})
afterEach(killJobs)

/** A job with `permissions: id-token: write`. */
function jobEnv(base: string, repository = 'acme/shop'): Readonly<Record<string, string>> {
  return { ...groupEnv('head', { base }), ...issuer.jobEnv({ repository, ref: 'refs/heads/x' }) }
}

function lease(job: Job, more: Readonly<Record<string, string>> = {}): Step {
  const inputs = { endpoint: server.url, release: 'post', priority: '1', ...more }
  return job.uses({ action: 'lease', with: inputs })
}

function errors({ annotations }: StepResult): string[] {
  return annotations.filter(({ level }) => level === 'error').map(({ message }) => message)
}

async function newToken(name: string): Promise<string> {
  const args = ['token', 'create', '--name', name, '--role', 'operator', '--data-dir', server.dataDir]
  const created = signalbox(args)
  expect([await created.exited, created.err()]).toEqual([0, expect.any(String)])
  return created.out().trim()
}

describe('with an ID token of GitHub', () => {
  it('acquires and gives back without any secret; each token is masked before it is used', async () => {
    const from = issuer.asked.length
    const job = new Job(jobEnv('oidc'))
    const main = lease(job)
    expect(await main.done).toMatchObject({ annotations: [], outputs: { result: 'acquired' } })
    const [post] = await job.end()
    expect(post).toMatchObject({ outcome: 'success', annotations: [] })
    const audience = encodeURIComponent(server.url)
    expect(issuer.asked.slice(from).filter((path) => path.startsWith('/id-token'))).toEqual(
      Array(2).fill(`/id-token?api-version=2.0&audience=${audience}`),
    )
    const tokens = main.raw().match(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g) ?? []
    expect(tokens).toHaveLength(1)
    expect(main.raw()).toContain(`::add-mask::${tokens[0]}`)
    for (const { log } of [await main.done, post!]) expect(log).not.toMatch(/eyJ|right-of-job/)
  })

  it('takes a turn, whose agent gets the tokens by itself', async () => {
    const job = new Job(jobEnv('turn'))
    const inputs = { 'queue-name': 'oidc', backend: 'server', url: server.url }
    const main = await job.uses({ with: inputs }).done
    expect(main).toMatchObject({ outcome: 'success', annotations: [], outputs: { fence: '1' } })
    const environment = readFileSync(`/proc/${job.agents()[0]?.pid}/environ`, 'utf8').split('\0')
    expect(environment.filter((line) => line.startsWith('SIGNALBOX_'))).toEqual([
      `SIGNALBOX_OIDC_AUDIENCE=${server.url}`,
    ])
    expect(await job.end()).toMatchObject([{ log: 'oidc: the turn was given back (fence 1)\n' }])
  })

  it('lets the CLI in, where SIGNALBOX_OIDC_AUDIENCE asks for it', async () => {
    const list = (env: Readonly<Record<string, string>>) =>
      signalbox(['turn', 'list', '--url', server.url], { env: { ...process.env, ...jobEnv('cli'), ...env } })
    const signedIn = list({ SIGNALBOX_OIDC_AUDIENCE: server.url })
    expect([await signedIn.exited, signedIn.err()]).toEqual([0, ''])
    const without = list({})
    expect([await without.exited, without.err()]).toEqual([77, expect.stringContaining('no credential')])
  })

  it.each<[string, Readonly<Record<string, string>>, RegExp]>([
    [
      'another audience',
      { audience: 'https://other.example' },
      /has the audience .*; the job signed in with an ID token of GitHub for the audience https:\/\/other\.example; .*audience: off$/,
    ],
    [
      'none',
      { audience: 'off' },
      /no credential came with the call.*; give auth, or the job 'permissions: id-token: write'/,
    ],
  ])('is told in one line what is wrong with %s', async (_what, inputs, message) => {
    const job = new Job(jobEnv('wrong'))
    const done = await lease(job, inputs).done
    expect(done.outcome).toBe('failure')
    expect(errors(done)).toEqual([expect.stringMatching(message)])
    expect(await job.end()).toMatchObject([{ outcome: 'success', annotations: [] }])
  })

  it('is refused where no rule admits the repository', async () => {
    const done = await lease(new Job(jobEnv('stranger', 'evil/fork'))).done
    expect(errors(done)).toEqual([expect.stringMatching(/no rule of auth\.oidc .*evil\/fork/)])
  })

  it('names the permission that the job lacks', async () => {
    const job = new Job(groupEnv('head', { base: 'lacking' }))
    expect(errors(await lease(job).done)).toEqual([expect.stringMatching(/no credential.*id-token: write/)])
    expect(errors(await lease(job, { audience: server.url }).done)).toEqual([
      expect.stringMatching(
        /^this job may not ask GitHub for an ID token \(ACTIONS_ID_TOKEN_REQUEST_URL is not set\).*id-token: write/,
      ),
    ])
    const turn = { 'queue-name': 'lacking', backend: 'server', url: server.url, audience: server.url }
    expect(errors(await job.uses({ with: turn }).done)).toEqual([expect.stringMatching(/id-token: write/)])
    await job.end()
  })
})

describe('with auth', () => {
  it.each(['Bearer', 'Basic'])('sends the whole %s header, which shows in no log', async (scheme) => {
    const auth = scheme === 'Basic' ? BASIC : `Bearer ${await newToken('bearer')}`
    const job = new Job(jobEnv(scheme))
    const main = lease(job, { auth })
    expect((await main.done).outputs).toMatchObject({ result: 'acquired' })
    const secret = auth.split(' ')[1] ?? ''
    expect(
      main
        .raw()
        .split('\n')
        .filter((line) => line.includes(secret)),
    ).toEqual([`::add-mask::${auth}`, `::add-mask::${secret}`])
    const [post] = await job.end()
    expect(post).toMatchObject({ outcome: 'success', annotations: [] })
    expect(post?.log).not.toContain(secret)
  })

  it('is turned away with the wrong one, which is not repeated', async () => {
    const wrong = basic('hunter3hunter3')
    const done = await lease(new Job(jobEnv('wrong')), { auth: wrong }).done
    expect(errors(done)).toEqual([expect.stringMatching(/; check auth$/)])
    expect(done.log).not.toContain(wrong.slice('Basic '.length))
  })

  it('takes SIGNALBOX_TOKEN of the environment too', async () => {
    const SIGNALBOX_TOKEN = await newToken('environment')
    const job = new Job({ ...groupEnv('head', { base: 'environment' }), SIGNALBOX_TOKEN })
    const main = await lease(job).done
    expect(main.outputs).toMatchObject({ result: 'acquired' })
    expect(main.log).not.toContain(SIGNALBOX_TOKEN)
    expect(await job.end()).toMatchObject([{ outcome: 'success' }])
  })

  it('fails a job that has succeeded when it cannot give back, and only warns one that has not', async () => {
    const auth = `Bearer ${await newToken('revoked')}`
    const [good, bad] = [new Job(jobEnv('good')), new Job(jobEnv('bad'))]
    for (const job of [good, bad]) expect((await lease(job, { auth }).done).outcome).toBe('success')
    const revoked = signalbox(['token', 'revoke', 'revoked', '--data-dir', server.dataDir])
    expect(await revoked.exited).toBe(0)
    await bad.run('exit 1').done
    const message = expect.stringMatching(/the token is .*; check auth/) as string
    expect(await good.end()).toMatchObject([
      { outcome: 'failure', annotations: [{ level: 'error', message }] },
    ])
    expect(await bad.end()).toMatchObject([
      { outcome: 'success', annotations: [{ level: 'warning', message }] },
    ])
  })
})
