/** What the action refuses, in one line each; what it masks; what it does not let others say to the runner. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { signalbox, startServer, until, type ServerProcess } from '../support/processes.ts'
import { queueAt } from './queue.ts'
import { Job, killJobs, type StepResult } from './runner.ts'

let server: ServerProcess
beforeAll(async () => {
  server = await startServer()
})
afterAll(async () => server.stop())
afterEach(killJobs)

async function step(inputs: Readonly<Record<string, string>>): Promise<StepResult & { readonly job: Job }> {
  const job = new Job()
  return { ...(await job.uses({ with: inputs }).done), job }
}

function messages({ annotations }: StepResult, level = 'error'): string[] {
  return annotations.filter((annotation) => annotation.level === level).map(({ message }) => message)
}

const at = { backend: 'server', url: 'http://127.0.0.1:1' }

it.each<[Readonly<Record<string, string>>, RegExp]>([
  [
    { action: 'server-begin' },
    /^action: 'server-begin' must be server-start, client-wait, server-stop, or left away/,
  ],
  [{ ...at }, /^queue-name: is missing/],
  [{ ...at, action: 'server-start' }, /^queue-name: is missing/],
  [{ ...at, 'queue-name': 'my queue' }, /^queue-name: 'my queue' must be 1 to 128 characters/],
  [{ ...at, action: 'client-wait', 'queue-name': 'my queue' }, /^queue-name: 'my queue' must be/],
  [{ ...at, 'queue-name': 'q', permits: '0' }, /^permits: '0' must be a whole number from 1/],
  [{ ...at, 'queue-name': 'q', priority: 'huge' }, /^priority: 'huge' must be low, normal/],
  [{ ...at, 'queue-name': 'q', ttl: '2s' }, /^ttl: 2s is too short/],
  [{ ...at, 'queue-name': 'q', 'wait-timeout': 'soon' }, /^wait-timeout: 'soon' is not a duration/],
  [{ ...at, 'queue-name': 'q', 'max-hold': '0' }, /^max-hold: '0' must be from 1s to 7d/],
  [{ ...at, 'queue-name': 'q', 'on-lost': 'kill' }, /^on-lost: 'kill' must be cancel-run or warn/],
  [{ ...at, 'queue-name': 'q', labels: 'fast' }, /^labels: 'fast' must be written key=value/],
  [
    { ...at, 'queue-name': 'q', guard: 'on' },
    /^guard: is for the backends aws and gcp, but the backend here is server/,
  ],
  [{ 'queue-name': 'q', guard: 'maybe' }, /^guard: 'maybe' must be on or off/],
  [{ 'queue-name': 'q', backend: 'azure' }, /^backend: 'azure' must be server, aws .* or gcp/],
  [{ 'queue-name': 'q', 'queue-table': 'a b' }, /^queue-table: 'a b' is not the name of a DynamoDB table/],
  [{ 'queue-name': 'q', backend: 'gcp' }, /^gcp-project: missing; .* GCP_PROJECT or GOOGLE_CLOUD_PROJECT/],
  [
    { 'queue-name': 'q', backend: 'gcp', 'gcp-project': 'p', 'gcp-database': 'X' },
    /^gcp-database: 'X' is not the id/,
  ],
  [{ 'queue-name': 'q', backend: 'server' }, /^url: is missing; give the address/],
  [
    { 'queue-name': 'q', url: 'http://127.0.0.1:1' },
    /^url: is for the backend server, but the backend here is aws/,
  ],
  [{ ...at, 'queue-name': 'q', url: 'localhost' }, /^url: server URL 'localhost': is not an http/],
  [{ ...at, 'queue-name': 'q', token: 'a b' }, /token.*contains a space/i],
  [{ ...at, 'queue-name': 'q' }, /^http:\/\/127\.0\.0\.1:1: /],
])('%j is refused in one line, and leaves nothing behind', async (inputs, message) => {
  const refused = await step(inputs)
  expect(refused.outcome).toBe('failure')
  expect(messages(refused)).toEqual([expect.stringMatching(message)])
  expect(messages(refused)[0]).not.toMatch(/\n|--[a-z]/)
  expect(refused.log).not.toMatch(/^\s+at /m)
  expect(refused.job.agents()).toEqual([])
  expect((await refused.job.end()).map(({ outcome, log }) => [outcome, log])).toEqual([['success', '']])
})

it('passes permits, priority and labels on to the queue', async () => {
  const inputs = {
    backend: 'server',
    url: server.url,
    permits: '2',
    priority: 'high',
    labels: 'team=web\nname=The shop',
  }
  const { outcome, job } = await step({ ...inputs, 'queue-name': 'passed' })
  expect(outcome).toBe('success')
  const answer = await fetch(`${server.url}/api/v1/turns/passed`)
  expect(await answer.json()).toMatchObject({
    permits: 2,
    holders: [
      { priority: 75, labels: { team: 'web', name: 'The shop', repository: 'acme/shop', run: '4711' } },
    ],
  })
  await job.end()
})

it('ignores a version and a log level it does not know, and says so', async () => {
  const inputs = {
    backend: 'server',
    url: server.url,
    'queue-name': 'ignored',
    version: '0.4.1',
    'log-level': 'chatty',
  }
  const { job, ...done } = await step(inputs)
  expect(done.outcome).toBe('success')
  expect(messages(done, 'notice')).toEqual(["version: '0.4.1' is ignored; the version is that of 'uses:'"])
  expect(messages(done, 'warning')).toEqual(['log-level: is not known; it may be debug, info, warn or error'])
  await job.end()
})

it('warns of inputs that do nothing in a step of the three', async () => {
  const done = await step({ action: 'server-stop', 'wait-timeout': '5m', permits: '3' })
  expect(messages(done, 'warning')).toEqual([
    'permits: has no effect with action: server-stop',
    'wait-timeout: has no effect with action: server-stop',
  ])
})

it('says nothing of its waiting with log-level: warn', async () => {
  const first = await step({ backend: 'server', url: server.url, 'queue-name': 'quiet' })
  const job = new Job()
  const inputs = { backend: 'server', url: server.url, 'queue-name': 'quiet', 'log-level': 'warn' }
  const waiting = job.uses({ with: inputs })
  await until('it waits', async () => (await queueAt(server.url, 'quiet').waiters()).length === 1)
  await until('it has seen that', () => waiting.raw().includes('::debug::quiet: waiting'))
  await first.job.end()
  expect((await waiting.done).log).not.toMatch(/^quiet: waiting|::group::/m)
  await job.end()
})

it('takes the token of the server, which shows up in no log', async () => {
  const own = await startServer()
  const create = [
    'token',
    'create',
    '--name',
    'ci',
    '--role',
    'operator',
    '--json',
    '--data-dir',
    own.dataDir,
  ]
  const created = signalbox(create)
  expect(await created.exited).toBe(0)
  const token = /sbx_[\w-]+/.exec(created.out())?.[0] ?? ''
  expect(token).not.toBe('')
  const inputs = { backend: 'server', url: own.url, 'queue-name': 'token' }
  const wrong = await step({ ...inputs, token: `${token}0` })
  expect(messages(wrong)).toEqual([expect.stringContaining('token')])
  expect(wrong.log).not.toContain(token)
  const job = new Job()
  const main = job.uses({ with: { ...inputs, token, 'log-level': 'debug' } })
  expect((await main.done).outcome).toBe('success')
  expect(
    main
      .raw()
      .split('\n')
      .filter((line) => line.includes(token)),
  ).toEqual([`::add-mask::${token}`])
  expect((await main.done).log).not.toContain(token)
  const folder = join(job.temp, 'signalbox-agents')
  for (const name of readdirSync(folder))
    expect(readFileSync(join(folder, name), 'utf8')).not.toContain(token)
  const [agent] = job.agents()
  const environment = readFileSync(`/proc/${agent?.pid}/environ`, 'utf8').split('\0')
  expect(environment.filter((line) => line.includes(token))).toEqual([`SIGNALBOX_TOKEN=${token}`])
  expect(environment.filter((line) => /^(INPUT_|STATE_|GITHUB_TOKEN=)/.test(line))).toEqual([])
  expect(await job.end()).toMatchObject([{ outcome: 'success' }])
  await own.stop()
})

it('gives the agent GitHub’s token for on-lost: cancel-run alone', async () => {
  const { job } = await step({
    backend: 'server',
    url: server.url,
    'queue-name': 'cancel-run',
    'on-lost': 'cancel-run',
  })
  const environment = readFileSync(`/proc/${job.agents()[0]?.pid}/environ`, 'utf8')
  expect(environment).toContain('GITHUB_TOKEN=ghs_of_the_job')
  await job.end()
})

it('lets no member of the queue speak to the runner', async () => {
  const post = (path: string, body: object): Promise<Response> =>
    fetch(`${server.url}/api/v1/turns/evil/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
  const labels = { name: '\n::set-output name=fence::9\n##[set-output name=fence;]9' }
  expect((await post('members', { id: 'evil-member', labels })).ok).toBe(true)
  const job = new Job()
  const waiting = job.uses({ with: { backend: 'server', url: server.url, 'queue-name': 'evil' } })
  await until('it names the holder', () => waiting.raw().includes('held by'))
  await waiting.cancel()
  expect(waiting.raw()).toContain('set-output')
  expect(waiting.raw()).not.toMatch(/^\s*::set-output|##\[/m)
})
