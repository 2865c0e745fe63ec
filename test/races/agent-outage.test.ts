/** The agent while its server is away, for a moment and for good; and what it does when its turn is lost. */
import { createServer } from 'node:http'
import { afterEach, expect, it } from 'vitest'
import { killAgents, newHost, TTL_MS } from '../support/agents.ts'
import { isAlive, startServer, until, type ServerProcess } from '../support/processes.ts'

let server: ServerProcess | undefined
afterEach(async () => {
  killAgents()
  await server?.stop()
  server = undefined
})

it('keeps place and turn through a kill -9 and restart of the server', async () => {
  server = await startServer()
  const host = newHost(server.url)
  const first = await host.start('restart', '--name', 'first')
  const second = await host.start('restart', '--name', 'second')
  server = await server.restart()
  expect(await host.members('restart')).toEqual({ holders: [first.member], waiters: [second.member] })
  await new Promise((wake) => setTimeout(wake, 1.5 * TTL_MS))
  expect((await host.agent('wait', '--id', 'first')).code).toBe(0)
  const early = await host.agent('wait', '--id', 'second', '--timeout', '100ms')
  expect([early.code, early.err]).toEqual([124, expect.stringContaining('did not come within')])
  expect((await host.agent('stop', '--id', 'first')).code).toBe(0)
  const waited = await host.agent('wait')
  expect([waited.code, waited.out]).toEqual([0, expect.stringContaining('fence 2')])
})

it('says that the place could not be given back when the server stays away', async () => {
  server = await startServer()
  const host = newHost(server.url)
  const { pid } = await host.start('gone')
  server.running.kill('SIGKILL')
  const startedAt = performance.now()
  const stopped = await host.agent('stop')
  expect([stopped.code, stopped.err]).toEqual([
    69,
    expect.stringMatching(/could not be told, the place lapses/),
  ])
  expect(performance.now() - startedAt).toBeLessThan(2 * TTL_MS)
  expect(isAlive(pid)).toBe(false)
  expect(host.files()).toEqual([])
})

it('cancels the workflow run, once, when the turn is lost; wait and stop say so', async () => {
  server = await startServer()
  const calls: string[] = []
  const github = createServer((request, response) => {
    calls.push(`${request.method} ${request.url} ${request.headers.authorization}`)
    response.writeHead(202).end('{}')
  })
  await new Promise<void>((done) => github.listen(0, '127.0.0.1', done))
  const address = github.address()
  const host = newHost(server.url, {
    GITHUB_API_URL: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`,
    GITHUB_REPOSITORY: 'acme/web',
    GITHUB_RUN_ID: '4711',
    GITHUB_TOKEN: 't0ken',
  })
  const { pid } = await host.start('lost', '--on-lost', 'cancel-run')
  server.running.kill('SIGKILL')
  await until('the agent has ended', () => !isAlive(pid), TTL_MS + 5_000)
  github.close()
  expect(calls).toEqual(['POST /repos/acme/web/actions/runs/4711/cancel Bearer t0ken'])
  const waited = await host.agent('wait')
  expect([waited.code, waited.err]).toEqual([75, expect.stringMatching(/lost: the turn was lost: no beat/)])
  expect((await host.agent('stop')).code).toBe(75)
  expect((await host.agent('stop')).code).toBe(66)
})

it('does not report a turn as held whose agent is frozen', async () => {
  server = await startServer()
  const host = newHost(server.url)
  const { pid } = await host.start('frozen')
  process.kill(pid, 'SIGSTOP')
  await new Promise((wake) => setTimeout(wake, TTL_MS))
  expect((await host.agent('wait', '--timeout', '200ms')).code).toBe(124)
  process.kill(pid, 'SIGCONT')
  await until('the agent has ended', () => !isAlive(pid), 5_000)
  expect((await host.agent('wait')).code).toBe(75)
})
