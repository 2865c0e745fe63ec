/** A merge queue as jobs see it: the event of each group, GitHub's compare API, and the lease server they ask. */
import { writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect } from 'vitest'
import { startServer, temporaryFolder, type ServerProcess } from '../support/processes.ts'
import { GITHUB_TOKEN } from './action-folder.ts'

/** What the runner tells a job of a merge group: `shop`'s pull request into `base`. */
export function groupEnv(
  sha: string,
  { base = 'main', pullRequest = 12 }: { readonly base?: string; readonly pullRequest?: number } = {},
): Readonly<Record<string, string>> {
  const path = join(temporaryFolder('event'), 'event.json')
  const merge_group = {
    head_sha: sha,
    head_ref: `refs/heads/gh-readonly-queue/${base}/pr-${pullRequest}-0123abc`,
    base_ref: `refs/heads/${base}`,
    // Of the group before this one in the queue: no base to count from.
    base_sha: 'the-group-before',
  }
  writeFileSync(path, JSON.stringify({ action: 'checks_requested', merge_group }))
  return { GITHUB_EVENT_NAME: 'merge_group', GITHUB_EVENT_PATH: path }
}

interface Reply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface GithubApi {
  /** For the job's environment. */
  readonly env: Readonly<Record<string, string>>
  /** Each question: its path, and the status of the answer. */
  readonly asked: [path: string, status: number][]
  readonly headers: IncomingHttpHeaders[]
  /** By how many commits a head is ahead of its base. */
  readonly ahead: Map<string, number>
  /** Answers of the next questions instead of the truth. */
  readonly lies: Reply[]
  close(): void
}

/** GitHub's compare API on loopback, with entity tags as GitHub has them. */
export async function startGithub(ahead: Readonly<Record<string, number>> = {}): Promise<GithubApi> {
  const asked: GithubApi['asked'] = []
  const headers: IncomingHttpHeaders[] = []
  const known = new Map(Object.entries(ahead))
  const lies: Reply[] = []
  const truth = (path: string, given: IncomingHttpHeaders): Reply => {
    const [, sha = ''] = /^\/repos\/acme\/shop\/compare\/[^/]+\.\.\.([^/]+)$/.exec(path) ?? []
    const count = known.get(sha)
    if (given.authorization !== `Bearer ${GITHUB_TOKEN}`) return { status: 401 }
    if (count === undefined) return { status: 404, body: '{"message":"Not Found"}' }
    const etag = `W/"${sha}-${count}"`
    if (given['if-none-match'] === etag) return { status: 304, headers: { etag } }
    return { status: 200, headers: { etag }, body: JSON.stringify({ status: 'ahead', ahead_by: count }) }
  }
  const server = createServer(({ url = '/', headers: given }, response) => {
    const { status, headers: more, body } = lies.shift() ?? truth(url, given)
    asked.push([url, status])
    headers.push(given)
    response.writeHead(status, { 'content-type': 'application/json', ...more }).end(body)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  return {
    env: { GITHUB_API_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}` },
    asked,
    headers,
    ahead: known,
    lies,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** Polls come once a second; who is silent for six is forgotten. Any base branch is a provider, granted at once. */
export function startLeaseServer(
  config = '',
  options: { readonly port?: number } = {},
): Promise<ServerProcess> {
  const file = join(temporaryFolder('lease-config'), 'signalbox.yaml')
  const leases =
    'leases: { stabilisationWindow: 0s, expectedBuildCount: 1, ttl: 5900ms, anyRepository: true }\n'
  writeFileSync(file, `${leases}${config}`)
  return startServer({ ...options, args: ['--config', file] })
}

/** A provider that waits until so many requests are there. */
export function gathering(base: string, count: number, more = ''): string {
  return `  - { owner: acme, name: shop, base_ref: ${base}, stabilize_duration_seconds: 3600, expected_request_count: ${count}${more} }\n`
}

export interface Provider {
  readonly acquired: null | { readonly head_sha: string; readonly status: string }
  readonly known: readonly { readonly head_sha: string; readonly priority: number; readonly status: string }[]
}

/** As the server lists it. */
export async function providerAt(url: string, base: string): Promise<Provider> {
  const answer = await fetch(`${url}/acme/shop/${encodeURIComponent(base)}`)
  if (answer.status === 404) return { acquired: null, known: [] }
  expect(answer.status).toBe(200)
  return (await answer.json()) as Provider
}

/** Another job's call, without a job. */
export async function call(
  url: string,
  base: string,
  verb: 'acquire' | 'release',
  body: { readonly head_sha: string; readonly priority: number; readonly status?: string },
): Promise<unknown> {
  const answer = await fetch(`${url}/acme/shop/${encodeURIComponent(base)}/${verb}`, {
    method: 'POST',
    body: JSON.stringify(body),
  })
  return ((await answer.json()) as { readonly status?: unknown }).status
}

/** Nobody holds it, nobody waits, nobody is to be told anything. */
export async function expectFree(url: string, base: string): Promise<void> {
  const { acquired, known } = await providerAt(url, base)
  expect([acquired?.status ?? null, known.filter(({ status }) => status !== 'completed')]).toEqual([
    acquired === null ? null : 'completed',
    [],
  ])
}
