/** What the lease action refuses, in one line each, before it asks anybody; what others may not say to the runner. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, it, onTestFinished } from 'vitest'
import { temporaryFolder, until } from '../support/processes.ts'
import { groupEnv } from './merge-queue.ts'
import { Job, killJobs, type StepResult } from './runner.ts'

afterAll(killJobs)

type Values = Readonly<Record<string, string>>

async function step(inputs: Values, env: Values = groupEnv('head')): Promise<StepResult> {
  return new Job({ GITHUB_API_URL: 'http://127.0.0.1:1', ...env }).uses({ action: 'lease', with: inputs })
    .done
}

function messages({ annotations }: StepResult, level = 'error'): string[] {
  return annotations.filter((annotation) => annotation.level === level).map(({ message }) => message)
}

function eventFile(text: string): Values {
  const path = join(temporaryFolder('event'), 'event.json')
  writeFileSync(path, text)
  return { GITHUB_EVENT_NAME: 'merge_group', GITHUB_EVENT_PATH: path }
}

const at = { endpoint: 'http://127.0.0.1:1' }
const outside =
  /; run the step where github\.event_name == 'merge_group', or give it the inputs head_sha and base_ref$/

it.concurrent.each<[Values, RegExp, Values?]>([
  [{}, /^endpoint: is missing; give the address of the lease server$/],
  [
    { ...at, lease_service_url: 'http://127.0.0.1:2' },
    /^endpoint: is another address than lease_service_url/,
  ],
  [{ endpoint: 'localhost' }, /^endpoint: server URL 'localhost': is not an http/],
  [{ endpoint: 'http://ann:hunter2@box' }, /^endpoint: server URL with a user name or password/],
  [{ ...at, auth: 'Bearer\nx' }, /^auth: is empty or has a character that no header has/],
  [{ ...at, release: 'later' }, /^release: 'later' must be step or post$/],
  [
    { ...at, release: 'post', release_with_status: 'success' },
    /^release: post and release_with_status contradict/,
  ],
  [
    { ...at, release_with_status: 'sucess' },
    /^release_with_status: 'sucess' must be one of success, failure, cancelled/,
  ],
  [{ ...at, release_with_status: '${{ job.status' }, /^release_with_status: .* must be one of/],
  [{ ...at, priority: '0' }, /^priority: '0' must be a whole number from 1$/],
  [{ ...at, priority: '-1' }, /^priority: '-1' must be/],
  [{ ...at, priority: '1.5' }, /^priority: '1\.5' must be/],
  [{ ...at, priority: 'high' }, /^priority: 'high' must be/],
  [{ ...at, priority: '9999999999999999' }, /^priority: '9999999999999999' must be/],
  [{ ...at, wait_timeout: 'soon' }, /^wait_timeout: 'soon' is not a duration; write for example/],
  [{ ...at, head_sha: 'two words' }, /^head_sha: 'two words' is not the id of a commit$/],
  [{ ...at, head_ref: 'refs/heads/feature' }, /^head_ref: 'feature' is no branch of a merge queue/],
  [{ ...at, repository: 'shop' }, /^repository: 'shop' must be OWNER\/NAME$/],
  [{ ...at, audience: 'https://box' }, /^this job may not ask GitHub for an ID token/],
  [at, /^this run was started by 'push', not by a merge queue/, { GITHUB_EVENT_NAME: 'push' }],
  [{ ...at, head_sha: 'x' }, outside, { GITHUB_EVENT_NAME: 'pull_request' }],
  [{ ...at, release_with_status: 'success' }, outside, { GITHUB_EVENT_NAME: 'push' }],
  [at, /^the payload of the merge_group event cannot be read/, eventFile('{')],
  [at, /^the payload of the merge_group event cannot be read/, eventFile('null')],
  [
    at,
    /^the payload of the merge_group event lacks head_sha or base_ref/,
    eventFile('{"merge_group":{"head_sha":3}}'),
  ],
])('%j is refused in one line', async (inputs, message, env) => {
  const refused = await step(inputs, env)
  expect(refused.outcome).toBe('failure')
  expect(messages(refused)).toEqual([expect.stringMatching(message)])
  expect(messages(refused)[0]).not.toMatch(/\n|hunter2/)
  expect(refused.log).not.toMatch(/^\s+at /m)
  expect(refused.outputs).toEqual({})
})

/** A lease server that grants everything, and the bodies it was sent. */
async function generous(
  reason?: string,
): Promise<{ readonly url: string; readonly sent: [string, unknown][] }> {
  const sent: [string, unknown][] = []
  const server = createServer((request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    request.on('end', () => {
      const body = JSON.parse(text) as { readonly head_sha: string }
      sent.push([request.url ?? '', body])
      const waits = reason === undefined ? 'acquired' : 'pending'
      const status = request.url?.endsWith('release') ? 'failure' : waits
      response.end(JSON.stringify({ head_sha: body.head_sha, status, reason }))
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, sent }
}

it('asks for what the event says', async () => {
  const { url, sent } = await generous()
  await step(
    { lease_service_url: `${url}/prefix/`, priority: '3' },
    groupEnv('abc', { base: 'release/1.2', pullRequest: 8 }),
  )
  expect(sent).toEqual([
    [
      '/prefix/acme/shop/release%2F1.2/acquire',
      { head_sha: 'abc', head_ref: 'gh-readonly-queue/release/1.2/pr-8-0123abc', priority: 3 },
    ],
  ])
})

it('asks for what inputs say instead, in any run; the event’s branch is not another commit’s', async () => {
  const { url, sent } = await generous()
  const inputs = {
    endpoint: url,
    priority: '1',
    head_sha: 'abc',
    base_ref: 'refs/heads/x',
    repository: 'Acme/stage',
  }
  for (const env of [{ GITHUB_EVENT_NAME: 'workflow_dispatch' }, groupEnv('head')]) {
    expect((await step(inputs, env)).outcome).toBe('success')
  }
  await step({ ...inputs, head_ref: 'refs/heads/gh-readonly-queue/x/pr-9-abc' })
  const body = { head_sha: 'abc', priority: 1 }
  expect(sent).toEqual([
    ['/Acme/stage/x/acquire', body],
    ['/Acme/stage/x/acquire', body],
    ['/Acme/stage/x/acquire', { ...body, head_ref: 'gh-readonly-queue/x/pr-9-abc' }],
  ])
})

it.each(['failure', 'cancelled', 'Cancelled', 'timed_out', 'skipped'])(
  'gives back with %j as a failure, and looks for no priority at length',
  async (status) => {
    const { url, sent } = await generous()
    const done = await step({ endpoint: url, release_with_status: status, priority: '2' })
    expect(done).toMatchObject({ outcome: 'success', annotations: [] })
    expect(sent).toMatchObject([
      ['/acme/shop/main/release', { head_sha: 'head', status: 'failure', priority: 2 }],
    ])
    expect(done.outputs).toEqual({ result: 'failure', status: 'failure', stacked_pull_requests: '[]' })
  },
)

it('fails a success that the server has down as a failure', async () => {
  const { url } = await generous()
  const done = await step({ endpoint: url, release_with_status: 'success', priority: '2' })
  expect(messages(done)).toEqual([
    expect.stringMatching(/has it down as failed or given up; .*nothing protected/),
  ])
})

it('warns of an input that does nothing', async () => {
  const { url } = await generous()
  const inputs = { endpoint: url, release_with_status: 'failure', priority: '2', wait_timeout: '5m' }
  expect(messages(await step(inputs), 'warning')).toEqual([
    'wait_timeout: has no effect with release_with_status',
  ])
})

it('lets no server speak to the runner', async () => {
  const { url } = await generous('\n::set-output name=result::acquired\n##[set-output name=result;]acquired')
  const waiting = new Job(groupEnv('head')).uses({ action: 'lease', with: { endpoint: url, priority: '1' } })
  await until('it waits', () => waiting.raw().includes('set-output'))
  await waiting.cancel()
  expect(waiting.raw()).not.toMatch(/^\s*::set-output|##\[/m)
  expect((await waiting.done).outputs).toEqual({})
})
