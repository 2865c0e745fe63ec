/** The priority from GitHub, and the waiting for a lease: what it says, what it survives, how it ends. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { until, type ServerProcess } from '../support/processes.ts'
import {
  call,
  gathering,
  groupEnv,
  providerAt,
  startGithub,
  startLeaseServer,
  type GithubApi,
} from './merge-queue.ts'
import { Job, killJobs, type Step, type StepResult } from './runner.ts'

let server: ServerProcess
let github: GithubApi
const other = { head_sha: 'other', priority: 99 }

beforeAll(async () => {
  server = await startLeaseServer(`repositories:\n${gathering('gather', 2)}${gathering('restart', 2)}`)
  github = await startGithub({ head: 4 })
})
afterAll(async () => {
  github.close()
  await server.stop()
})
afterEach(async () => {
  github.lies.length = 0
  github.ahead.set('head', 4)
  await killJobs()
})

function acquire(base: string, more: Readonly<Record<string, string>> = {}): Step {
  const job = new Job({ ...groupEnv('head', { base }), ...github.env })
  return job.uses({ action: 'lease', with: { endpoint: server.url, ...more } })
}

/** Stands in for a lease server. */
async function answering(status: number, body: unknown): Promise<string> {
  const impostor = createServer((_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(typeof body === 'function' ? body() : body))
  })
  await new Promise<void>((done) => impostor.listen(0, '127.0.0.1', done))
  onTestFinished(() => {
    impostor.close()
    impostor.closeAllConnections()
  })
  return `http://127.0.0.1:${(impostor.address() as AddressInfo).port}`
}

function errors({ annotations }: StepResult): string[] {
  return annotations.filter(({ level }) => level === 'error').map(({ message }) => message)
}

describe('the priority', () => {
  it('is by how many commits the group is ahead of the base branch, not of the group before it', async () => {
    const from = github.asked.length
    expect((await acquire('release/1.2').done).outputs).toMatchObject({ result: 'acquired', priority: '4' })
    expect(github.asked.slice(from)).toEqual([['/repos/acme/shop/compare/release%2F1.2...head', 200]])
    expect(github.headers.at(-1)).toMatchObject({
      'user-agent': 'signalbox',
      'x-github-api-version': '2022-11-28',
    })
  })

  it('falls with the groups that are merged while it waits; to ask again costs nothing of GitHub’s limit', async () => {
    const from = github.asked.length
    const step = acquire('gather')
    const seen = async (): Promise<number | undefined> =>
      (await providerAt(server.url, 'gather')).known[0]?.priority
    await until('it asked twice', () => github.asked.length >= from + 3)
    expect(await seen()).toBe(4)
    github.ahead.set('head', 2)
    await until('the server knows', async () => (await seen()) === 2)
    expect(github.asked.slice(from, from + 3).map(([, status]) => status)).toEqual([200, 304, 304])
    await step.cancel()
    expect(step.raw()).toContain('the base branch has moved: the priority is 2 now, was 4')
  })

  it('is not asked for with each poll where every question counts', async () => {
    const from = github.asked.length
    github.lies.push({ status: 200, body: '{"ahead_by":3}' })
    let polls = 0
    const endpoint = await answering(200, () => {
      polls += 1
      return { head_sha: 'head', status: 'pending', retry_after: 1 }
    })
    const step = acquire('untagged', { endpoint })
    await until('it has polled', () => polls > 2)
    await step.cancel()
    expect(github.asked.length).toBe(from + 1)
  })

  it('is not sent any more when GitHub fails while it waits; the server forgets the request until then', async () => {
    const known = async (): Promise<readonly unknown[]> => (await providerAt(server.url, 'gather')).known
    const step = acquire('gather')
    await until('it waits', () => step.raw().includes('waiting: '))
    github.lies.push(...Array.from({ length: 1_000 }, () => ({ status: 502 })))
    await until('it says so', () =>
      step.raw().includes('the server is not asked, for the priority may have fallen: '),
    )
    await until('the request is forgotten', async () => (await known()).length === 0)
    github.ahead.set('head', 2)
    github.lies.length = 0
    await until('it is let in again', async () => (await known()).length === 1)
    expect(await known()).toMatchObject([{ head_sha: 'head', priority: 2 }])
    await step.cancel()
    expect(step.raw()).toContain('the server is asked again, and answers')
  })

  it('is 1 at least', async () => {
    github.ahead.set('head', 0)
    expect((await acquire('merged').done).outputs).toMatchObject({ result: 'acquired', priority: '1' })
  })

  it('is asked for again when GitHub fails, or its limit is used up for a moment', async () => {
    github.lies.push(
      { status: 503 },
      { status: 403, headers: { 'retry-after': '1', 'x-ratelimit-remaining': '0' }, body: '{}' },
    )
    expect((await acquire('persistent').done).outputs).toMatchObject({ result: 'acquired', priority: '4' })
  })

  it.each<[Parameters<GithubApi['lies']['push']>[0], RegExp]>([
    [{ status: 404 }, /GitHub knows no such branch or commit \(404\).*'contents: read'/],
    [{ status: 403 }, /GitHub refuses \(status 403\); .*'contents: read'/],
    [{ status: 401 }, /GitHub refuses \(status 401\); .*'contents: read'/],
    [{ status: 429, headers: { 'retry-after': '3600' } }, /limit of requests is used up \(status 429\)/],
  ])('cannot be had with %j: one line that says why, and what to give instead', async (lie, message) => {
    github.lies.push(lie)
    const done = await acquire('refused').done
    expect(done.outcome).toBe('failure')
    expect(errors(done)).toEqual([expect.stringMatching(message)])
    expect(errors(done)[0]).toMatch(/compare\/refused\.\.\.head: .*; or give the input 'priority'$/)
    expect(errors(done)[0]).not.toContain('\n')
  })

  it('is not asked for where it is given', async () => {
    const from = github.asked.length
    expect((await acquire('given', { priority: '7' }).done).outputs).toMatchObject({ priority: '7' })
    expect(github.asked.length).toBe(from)
  })
})

describe('waiting', () => {
  it('says who holds the lease, in a fold of the log and on the page of the run', async () => {
    const base = 'reasons'
    expect(await call(server.url, base, 'acquire', other)).toBe('acquired')
    const step = acquire(base)
    await until('it says that it waits', () => step.raw().includes('waiting: '))
    expect(await call(server.url, base, 'release', { ...other, status: 'failure' })).toBe('failure')
    const done = await step.done
    const [before = '', inside = '', after = ''] = done.log.split(/^::group::.*\n|^::endgroup::\n/m)
    expect(before).toBe('acme/shop@reasons: asking for the lease for commit head with priority 4\n')
    expect(inside).toMatch(/^\[[^\]]+\] waiting: .*other.*\(priority 99\) holds the lease/)
    expect(after).toMatch(/^acme\/shop@reasons: acquired for #12 \(priority 4, fence 2, waited /)
    expect(done.summary).toMatch(
      /waited .*\. Last it waited for this: `.*other.*holds the lease.*`\. Waiting in a job/,
    )
    expect(Number(done.outputs['waited_seconds'])).toBeGreaterThanOrEqual(1)
  })

  it('gives up after wait_timeout, and waits no more', async () => {
    const done = await acquire('gather', { wait_timeout: '500ms' }).done
    expect(done.outcome).toBe('failure')
    expect(errors(done)).toEqual([
      expect.stringMatching(/^acme\/shop@gather: the lease did not come within 500ms; .* \(wait_timeout\)$/),
    ])
    expect((await providerAt(server.url, 'gather')).known).toEqual([])
  })

  it('survives the server’s restart by kill -9, and keeps its place', async () => {
    const step = acquire('restart')
    await until('it waits', () => step.raw().includes('waiting: '))
    server.running.kill('SIGKILL')
    await until('it noticed', () => step.raw().includes('the server does not answer, asking again: '))
    server = await server.restart()
    expect(await call(server.url, 'restart', 'acquire', { head_sha: 'low', priority: 1 })).toBe('pending')
    expect((await step.done).outputs).toMatchObject({ result: 'acquired', fence: '1' })
  })
})

describe('a server that is none', () => {
  it('is never taken at its word, however much it answers 200', async () => {
    const bodies = [
      { head_sha: 'head', status: 'done', request: { status: 'done' } },
      { head_sha: 'head', status: 'success', request: { status: 'success' } },
      { status: 'acquired' },
      { status: 'acquired', head_sha: 'another' },
      { head_sha: 'head', status: 'pending', request: { status: 'acquired' } },
      {},
      'acquired',
    ]
    const all = bodies.map(async (body) => {
      const endpoint = await answering(200, body)
      return acquire('impostor', { endpoint, priority: '1', wait_timeout: '100ms' }).done
    })
    for (const done of await Promise.all(all)) {
      expect([done.outcome, done.outputs]).toEqual(['failure', {}])
      expect(errors(done)).toEqual([
        expect.stringMatching(
          /last: .* answered .*not as Signalbox does; check the address \(wait_timeout\)$/,
        ),
      ])
    }
  })

  it('takes no release for done that was not', async () => {
    const endpoint = await answering(200, { head_sha: 'head', status: 'acquired' })
    const job = new Job(groupEnv('head'))
    const step = job.uses({
      action: 'lease',
      with: { endpoint, priority: '1', release_with_status: 'success' },
    })
    await until('it says so', () => step.raw().includes('is not given back yet'))
    await step.cancel()
    expect((await step.done).outcome).toBe('cancelled')
  })

  it('ends the waiting where it knows no such provider', async () => {
    const endpoint = await answering(404, { error: 'unknown provider' })
    const done = await acquire('nowhere', { endpoint, priority: '1' }).done
    expect(errors(done)).toEqual([
      expect.stringMatching(/^acme\/shop@nowhere: .* has no such lease provider; .*\(case counts\)$/),
    ])
  })
})
