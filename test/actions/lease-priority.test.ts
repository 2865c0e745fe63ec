/** The priority from GitHub, by a clock that is moved by hand: when it is asked for, and when there is none. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { commitsAhead, type Priority } from '../../actions/lease/src/priority.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { GITHUB_TOKEN } from './action-folder.ts'
import { startGithub, type GithubApi } from './merge-queue.ts'

let github: GithubApi
let now = 0

beforeAll(async () => {
  github = await startGithub()
})
afterAll(() => github.close())
beforeEach(() => {
  vi.stubEnv('INPUT_TOKEN', GITHUB_TOKEN)
  vi.spyOn(systemClock, 'monotonic').mockImplementation(() => now)
  github.ahead.set('head', 4)
  github.asked.length = 0
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  github.lies.length = 0
})

function lookUp(): Promise<Priority> {
  return commitsAhead({
    env: { ...github.env, GITHUB_REPOSITORY: 'acme/shop' },
    group: { provider: { owner: 'acme', repo: 'shop', baseRef: 'main' }, sha: 'head', ref: undefined },
    patienceMs: 0,
    signal: new AbortController().signal,
  })
}

it.each([{ status: 502 }, { status: 404 }, { status: 403 }, { status: 401 }, { status: 200, body: '{}' }])(
  'is none while GitHub answers %j, and one again after that',
  async (lie) => {
    const priority = await lookUp()
    github.lies.push(lie)
    const failed = await priority.renew().catch((error: unknown) => error)
    expect(failed).toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('cannot be looked up'),
    })
    expect(priority.failure).toBe(failed)
    github.ahead.set('head', 2)
    await priority.renew()
    expect([priority.current, priority.failure]).toEqual([2, undefined])
  },
)

it('is none while GitHub’s limit is used up, and GitHub is left alone until then', async () => {
  const priority = await lookUp()
  github.lies.push({ status: 403, headers: { 'retry-after': '3600' } })
  const limited = { code: 'unavailable', details: { retryAfterMs: 3_600_000 } }
  await expect(priority.renew()).rejects.toMatchObject(limited)
  now += 3_599_999
  await expect(priority.renew()).rejects.toMatchObject(limited)
  expect(github.asked.map(([, status]) => status)).toEqual([200, 403])
  now += 1
  await priority.renew()
  expect([priority.current, priority.failure, github.asked.length]).toEqual([4, undefined, 3])
})

it('without an entity tag is used for ten seconds, and then no more', async () => {
  github.lies.push({ status: 200, body: '{"ahead_by":3}' })
  const priority = await lookUp()
  now += 9_999
  await priority.renew()
  expect([priority.current, github.asked.length]).toEqual([3, 1])
  now += 1
  github.lies.push({ status: 502 })
  await expect(priority.renew()).rejects.toMatchObject({ code: 'unavailable' })
  await priority.renew()
  expect([priority.current, github.asked.length]).toEqual([4, 3])
})
