/**
 * Every answer of a real server is lost once, by a proxy, and the call sent again: one after the other, and all of them. Each time everybody
 * hears what it would have heard, and the provider ends in the same state. A provider of its own plays each.
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { ServerProcess } from '../support/processes.ts'
import { sendCall, startLeaseServer, timelessView } from './support/lease-server.ts'
import { startLosingProxy, type LosingProxy } from './support/losing-proxy.ts'
import { calls, STORY_EXPECTS, type Call } from './support/story.ts'

const nobody = 'none'
const everybody = 'all'
const repos = [nobody, everybody, ...calls.map((_, k) => `answer-${k + 1}`)]

let server: ServerProcess
let proxy: LosingProxy
/** Requests that arrived at each provider. */
const arrived = new Map<string, number>()
const lostCalls = new Set<string>()

beforeAll(async () => {
  const providers = repos.map((name) => ({ name, expected_request_count: STORY_EXPECTS }))
  server = await startLeaseServer({ providers })
  proxy = await startLosingProxy(server.url, ({ url = '' }) => {
    const repo = url.split('/')[2] ?? ''
    const count = (arrived.get(repo) ?? 0) + 1
    arrived.set(repo, count)
    // Every second copy repeats a lost one.
    if (repo === everybody) return count % 2 === 1
    return repo === `answer-${count}` && !lostCalls.has(repo) && lostCalls.add(repo) !== undefined
  })
})
afterAll(async () => {
  await proxy.close()
  await server.stop()
})

async function play(repo: string): Promise<{ told: string[]; end: unknown }> {
  const told: string[] = []
  // One at a time: the order of calls that are sent at once over several connections is nobody's promise.
  for (const call of calls) told.push(await sendUntilAnswered(`${proxy.url}/acme/${repo}/main`, call))
  return { told, end: await timelessView(`${server.url}/acme/${repo}/main`) }
}

async function sendUntilAnswered(url: string, call: Call): Promise<string> {
  for (;;) {
    try {
      return await sendCall(url, call)
    } catch (error) {
      if (!(error instanceof TypeError)) throw error
    }
  }
}

it('hears the same and ends the same, whichever answer is lost', async () => {
  const undisturbed = await play(nobody)
  expect(undisturbed.told).toEqual(calls.map(({ told }) => told))
  for (const repo of repos.slice(2)) expect(await play(repo), repo).toEqual(undisturbed)
  expect(proxy.lost()).toBe(calls.length)
  expect(await play(everybody)).toEqual(undisturbed)
  expect(proxy.lost()).toBe(2 * calls.length)
})
