/**
 * `turn agent` as the steps of a job use it: start, wait, stop; several agents on one machine; what becomes of the place when the
 * agent, its runner or its patience ends.
 */
import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, readdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { killAgents, newHost, TTL_MS } from '../support/agents.ts'
import {
  cli,
  isAlive,
  run,
  signalbox,
  startServer,
  temporaryFolder,
  until,
  type ServerProcess,
} from '../support/processes.ts'

let server: ServerProcess
beforeAll(async () => {
  server = await startServer()
})
afterAll(async () => server.stop())
afterEach(killAgents)

it('takes a turn in three steps and leaves nothing behind', async () => {
  const host = newHost(server.url)
  const { pid, member = '' } = await host.start('steps')
  const waited = await host.agent('wait')
  expect([waited.code, waited.out]).toEqual([0, expect.stringMatching(/^steps: your turn \(fence 1, /)])
  expect((await host.members('steps')).holders).toEqual([member])
  const json = JSON.parse((await host.agent('wait', '--json', '--queue', 'steps')).out) as object
  expect(json).toMatchObject({ queue: 'steps', state: 'holding', fence: 1, member, isFront: true })
  const stopped = await host.agent('stop')
  expect([stopped.code, stopped.out]).toEqual([0, 'steps: the turn was given back (fence 1)\n'])
  expect(await host.members('steps')).toEqual({ holders: [], waiters: [] })
  expect(isAlive(pid)).toBe(false)
  expect(readdirSync(host.folder)).toEqual([])
  expect((await host.agent('stop')).code).toBe(66)
  expect((await host.agent('wait')).err).toMatch(/no agent runs here; start one with/)
})

it('keeps two agents of one machine apart, for two queues', async () => {
  const host = newHost(server.url)
  const one = await host.start('apart/1')
  const two = await host.start('apart/2')
  expect(one.address).not.toBe(two.address)
  for (const command of ['wait', 'stop']) {
    const bare = await host.agent(command)
    expect([bare.code, bare.err]).toEqual([64, expect.stringMatching(/2 agents fit: apart\/1 .*apart\/2/)])
  }
  expect((await host.agent('stop', '--queue', 'apart/1')).code).toBe(0)
  expect((await host.members('apart/1')).holders).toEqual([])
  expect((await host.members('apart/2')).holders).toEqual([two.member])
  expect(isAlive(two.pid)).toBe(true)
  expect((await host.agent('stop')).code).toBe(0)
})

it('keeps two agents of one machine apart, for the same queue', async () => {
  const host = newHost(server.url)
  const first = await host.start('same', '--name', 'first')
  const second = await host.start('same', '--name', 'second')
  expect([first.state, second.state]).toEqual(['holding', 'waiting'])
  expect((await host.agent('start', 'same', '--name', 'second')).err).toMatch(/agent second: exists already/)
  expect((await host.agent('stop', '--queue', 'same')).err).toMatch(/id first.*id second.*--id/)
  const tooSoon = await host.agent('wait', '--id', 'second', '--timeout', '300ms')
  expect([tooSoon.code, tooSoon.err]).toEqual([124, expect.stringMatching(/waiting, position 1 .*held by/)])
  const wait = host.agent('wait', '--id', 'second')
  expect((await host.agent('stop', '--id', 'first')).code).toBe(0)
  expect((await wait).out).toMatch(/your turn \(fence 2/)
  expect((await host.members('same')).holders).toEqual([second.member])
  const status = JSON.parse((await host.agent('status', '--json')).out) as { agents: object[] }
  expect(status.agents).toMatchObject([{ id: 'second', state: 'holding', fence: 2 }])
})

it('stops one that waits: the place is gone when stop returns', async () => {
  const host = newHost(server.url)
  await host.start('withdraw', '--name', 'first')
  const { member } = await host.start('withdraw', '--name', 'second')
  expect((await host.members('withdraw')).waiters).toEqual([member])
  expect((await host.agent('stop', '--id', 'second')).code).toBe(0)
  expect((await host.members('withdraw')).waiters).toEqual([])
})

it('leaves when it is told to by SIGTERM', async () => {
  const host = newHost(server.url)
  const { pid } = await host.start('sigterm')
  process.kill(pid, 'SIGTERM')
  await until('it has ended', () => !isAlive(pid), 5_000)
  expect((await host.members('sigterm')).holders).toEqual([])
  expect(readdirSync(host.folder)).toEqual([])
})

it('loses its place to the next one within the TTL when it is killed, and says so', async () => {
  const host = newHost(server.url)
  const { pid } = await host.start('killed', '--name', 'first')
  const next = newHost(server.url)
  await next.start('killed')
  process.kill(pid, 'SIGKILL')
  const killedAt = performance.now()
  expect((await next.agent('wait')).code).toBe(0)
  expect(performance.now() - killedAt).toBeLessThan(TTL_MS + 3_000)
  const waited = await host.agent('wait')
  expect([waited.code, waited.err]).toEqual([75, expect.stringMatching(/was killed; its place lapses/)])
  expect(host.files()).toEqual([])
})

it('ends with the process it is held for', async () => {
  const host = newHost(server.url)
  const worker = spawn('sleep', ['600'])
  const { pid } = await host.start('watched', '--watch-pid', String(worker.pid))
  await new Promise((wake) => setTimeout(wake, 2_500))
  expect(isAlive(pid)).toBe(true)
  worker.kill('SIGKILL')
  await until('the agent has ended', () => !isAlive(pid), 5_000)
  expect((await host.members('watched')).holders).toEqual([])
  expect(host.files()).toEqual([])
})

it.runIf(process.platform === 'linux')('finds the worker of a GitHub runner above it', async () => {
  const folder = temporaryFolder('runner')
  const worker = join(folder, 'Runner.Worker')
  copyFileSync('/bin/sh', worker)
  chmodSync(worker, 0o755)
  const host = newHost(server.url, { GITHUB_ACTIONS: 'true' })
  const start = `"$@" turn agent start worker --ttl 6s --stop-grace 1s`
  const script = `sh -c '${start}; true' step "$@" && read end`
  const runner = run(worker, ['-c', script, 'job', process.execPath, cli], {
    env: { ...process.env, ...host.env },
  })
  await until('the agent runs', () => runner.out().includes('holding'))
  const [agent] = host.files()
  runner.kill('SIGKILL')
  await until('the agent has ended', () => !isAlive(agent?.pid ?? 0), 5_000)
  expect((await host.members('worker')).holders).toEqual([])
})

it('gives the turn back after --max-hold, and the next wait or stop hears of it', async () => {
  const host = newHost(server.url)
  const { pid } = await host.start('max-hold', '--max-hold', '2s')
  expect((await host.agent('wait')).code).toBe(0)
  await until('the agent has ended', () => !isAlive(pid), 8_000)
  expect((await host.members('max-hold')).holders).toEqual([])
  const stopped = await host.agent('stop')
  expect([stopped.code, stopped.err]).toEqual([75, expect.stringMatching(/held for 2s \(--max-hold\)/)])
  expect(host.files()).toEqual([])
})

it('refuses a port that is taken and leaves nothing behind', async () => {
  const host = newHost(server.url)
  const other = createServer()
  await new Promise<void>((done) => other.listen(0, '127.0.0.1', done))
  const address = other.address()
  const port = String(typeof address === 'object' ? address?.port : 0)
  const refused = await host.agent('start', 'taken', '--port', port)
  other.close()
  expect(refused.code).toBe(69)
  expect(refused.err).toMatch(new RegExp(`^signalbox: --port: ${port} on 127.0.0.1 is taken by .*\n$`))
  expect(readdirSync(host.folder)).toEqual([])
  expect((await fetch(`${server.url}/api/v1/turns/taken`)).status).toBe(404)
})

it('says in one line what kept it from joining, and leaves nothing behind', async () => {
  const host = newHost(server.url)
  const away = await host.agent('start', 'away', '--url', 'http://127.0.0.1:1')
  expect([away.code, away.err.split('\n').length]).toEqual([69, 2])
  await host.start('permits')
  const conflict = await host.agent('start', 'permits', '--permits', '3', '--json')
  expect([conflict.code, JSON.parse(conflict.err)]).toMatchObject([65, { error: { code: 'conflict' } }])
  expect((await host.agent('start', 'bad name')).code).toBe(64)
  expect(host.files()).toHaveLength(1)
})

it('does not stay when its starter is killed before it has joined', async () => {
  // Takes connections and never answers, so that the join neither succeeds nor fails.
  const mute = createServer().listen(0, '127.0.0.1')
  await new Promise((done) => mute.once('listening', done))
  const address = mute.address()
  const host = newHost(`http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`)
  const args = ['turn', 'agent', 'start', 'orphan', '--ttl', '6s', '--stop-grace', '1s']
  const starter = signalbox(args, { env: host.env })
  await until('the agent joins', () => host.files()[0]?.state === 'joining')
  const pid = host.files()[0]?.pid ?? 0
  await new Promise((wake) => setTimeout(wake, 1_000))
  expect(isAlive(pid)).toBe(true)
  starter.kill('SIGKILL')
  await until('the agent has ended', () => !isAlive(pid), 4 * TTL_MS)
  expect(readdirSync(host.folder)).toEqual([])
  mute.close()
})
