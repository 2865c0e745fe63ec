import { createServer } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { cancelRun } from './cancel-run.ts'

let close: (() => void) | undefined
afterEach(() => close?.())

/** Stands in for GitHub's API. */
async function github(status: number): Promise<{ url: string; calls: string[] }> {
  const calls: string[] = []
  const server = createServer((request, response) => {
    calls.push(`${request.method} ${request.url} ${request.headers.authorization}`)
    response.writeHead(status).end('{}')
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  close = () => server.close()
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  return { url: `http://127.0.0.1:${port}`, calls }
}

const job = { GITHUB_TOKEN: 't0ken', GITHUB_REPOSITORY: 'acme/web', GITHUB_RUN_ID: '4711' }

test('it asks GitHub once to cancel the run', async () => {
  const { url, calls } = await github(202)
  await cancelRun({ ...job, GITHUB_API_URL: url })
  expect(calls).toEqual(['POST /repos/acme/web/actions/runs/4711/cancel Bearer t0ken'])
})

test('a token that may not is named as the reason, and not asked with again', async () => {
  const { url, calls } = await github(403)
  await expect(cancelRun({ ...job, GITHUB_API_URL: url })).rejects.toThrow(/403.*actions: write/)
  expect(calls).toHaveLength(1)
})

test('without a token it says what is missing', async () => {
  await expect(cancelRun({ GITHUB_REPOSITORY: 'acme/web' })).rejects.toThrow(/GITHUB_TOKEN, GITHUB_RUN_ID/)
})

test('an address that does not answer is not an exception without a message', async () => {
  await expect(cancelRun({ ...job, GITHUB_API_URL: 'http://127.0.0.1:1' })).rejects.toMatchObject({
    code: 'unavailable',
  })
})
