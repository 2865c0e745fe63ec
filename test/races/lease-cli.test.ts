/**
 * `signalbox lease …` as real processes against a real server: the tour, a server that is killed in the middle, Ctrl-C while waiting
 * and while working, and a server that stays away until the lease is lost.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  endProcesses,
  isAlive,
  signalbox,
  startServer,
  temporaryFolder,
  until,
  type Running,
  type ServerProcess,
} from '../support/processes.ts'

/** Pairs are granted as soon as both are known, whatever the machine's speed. */
const timing = { stabilize_duration_seconds: 600 }
const named = (name: string, expected: number) => ({
  owner: 'acme',
  name,
  base_ref: 'release/1.2',
  expected_request_count: expected,
  // A third of it is between polls; the steps of the tour do not poll.
  ttl_seconds: name === 'tour' ? 30 : 20,
  ...timing,
})
const repositories = [
  ...['tour', 'interrupted', 'lost'].map((name) => named(name, 1)),
  ...['pair', 'restart', 'away', 'withdrawn'].map((name) => named(name, 2)),
]

let server: ServerProcess
const folder = temporaryFolder('lease-cli')

beforeAll(async () => {
  server = await startServer({ env: { SIGNALBOX_REPOSITORIES: JSON.stringify(repositories) } })
})
afterAll(async () => {
  await server.stop()
  endProcesses()
})

function lease(...args: readonly string[]): Running {
  return signalbox(['lease', ...args], { env: { SIGNALBOX_URL: server.url, GITHUB_ACTIONS: '' } })
}

/** @returns its standard output, when it has ended with this code */
async function done(running: Running, code = 0): Promise<string> {
  const ended = await running.exited
  expect(ended, running.err()).toBe(code)
  return running.out()
}

interface Shown {
  readonly phase: string
  readonly holder: { readonly sha: string; readonly expiresAt: string } | null
  readonly known: readonly { readonly sha: string }[]
}

async function show(name: string): Promise<Shown> {
  return JSON.parse(await done(lease('show', `acme/${name}@release/1.2`, '--json'))) as Shown
}

const group = (name: string, priority: number): string[] => [
  `acme/${name}@release/1.2`,
  '--head-sha',
  `c${priority}`,
  '--priority',
  String(priority),
]

interface Work {
  readonly run: Running
  readonly begun: () => boolean
  /** Of the shell that is the command. */
  readonly pid: () => number
  readonly finish: () => void
}

/** A command that begins, and goes on until it is told to end. */
function work(name: string, priority: number, ...flags: readonly string[]): Work {
  const [begun, end] = ['begun', 'end'].map((what) => join(folder, `${name}-${priority}-${what}`)) as [
    string,
    string,
  ]
  const script = `echo $$ > ${begun}.new && mv ${begun}.new ${begun}; while [ ! -e ${end} ]; do sleep 0.1; done`
  return {
    run: lease('run', ...group(name, priority), ...flags, '--', 'sh', '-c', script),
    begun: () => existsSync(begun),
    pid: () => Number(readFileSync(begun, 'utf8')),
    finish: () => writeFileSync(end, ''),
  }
}

it('acquires, shows, lists, releases and clears', async () => {
  expect(await done(lease('acquire', ...group('tour', 3)))).toBe('acquired\n')
  expect(await done(lease('acquire', ...group('tour', 1), '--no-wait'), 75)).toBe('refused\n')
  expect(await done(lease('show', 'acme/tour@release/1.2'))).toMatch(/^holding +- +c3 +3 /m)
  expect(await done(lease('list'))).toMatch(/^acme\/tour@release\/1\.2 +held +c3 +0 /m)
  expect(await done(lease('release', ...group('tour', 1), '--status', 'success'), 65)).toBe('')
  expect(await done(lease('release', ...group('tour', 3), '--status', 'success'))).toBe('completed\n')
  const cleared = lease('clear', 'acme/tour@release/1.2', '--reason', 'the end of the tour')
  expect(await done(cleared)).toBe(
    'acme/tour@release/1.2: cleared, the lease of c3 and 0 other requests forgotten\n',
  )
  expect(await show('tour')).toMatchObject({ phase: 'open', holder: null, known: [] })
  const unknown = lease('show', 'acme/unknown@release/1.2')
  await done(unknown, 66)
  expect(unknown.err()).toContain('has no such lease provider')
})

it('of two groups the higher works, and the lower is done with it', async () => {
  const low = work('pair', 1)
  await until('the lower one waits', () => low.run.err().includes('waiting'))
  const high = lease(
    'run',
    ...group('pair', 2),
    '--',
    'sh',
    '-c',
    'echo fence $SIGNALBOX_FENCE of $SIGNALBOX_LEASE',
  )
  expect(await done(high)).toBe('fence 1 of acme/pair@release/1.2\n')
  await done(low.run)
  expect(low.run.err()).toContain('completed')
  expect(low.begun()).toBe(false)
})

it('a server killed while one works and one waits costs neither its place', async () => {
  const low = work('restart', 1)
  await until('the lower one waits', () => low.run.err().includes('waiting'))
  const high = work('restart', 2, '--lease', '120s')
  await until('the higher one works', high.begun)
  server = await server.restart()
  expect(await show('restart')).toMatchObject({ phase: 'held', holder: { sha: 'c2' } })
  high.finish()
  await done(high.run)
  await done(low.run)
  expect([low.begun(), low.run.err().includes('completed')]).toEqual([false, true])
})

it('a command that ends while the server is away is told when it is back', async () => {
  const low = work('away', 1)
  await until('the lower one waits', () => low.run.err().includes('waiting'))
  const high = work('away', 2)
  await until('the higher one works', high.begun)
  server.running.kill()
  await server.running.exited
  high.finish()
  for (const { run } of [high, low]) {
    await until('it notices', () => /cannot connect|connection broke/.test(run.err()))
  }
  server = await server.restart()
  await done(high.run)
  await done(low.run)
  expect([low.begun(), low.run.err().includes('completed')]).toEqual([false, true])
})

it('Ctrl-C while waiting withdraws the request at once', async () => {
  const { run, begun } = work('withdrawn', 1)
  await until('it waits', () => run.err().includes('waiting'))
  expect((await show('withdrawn')).known).toMatchObject([{ sha: 'c1' }])
  run.kill('SIGINT')
  await done(run, 130)
  expect(begun()).toBe(false)
  expect((await show('withdrawn')).known).toEqual([])
})

it('Ctrl-C while working ends the command, and lets the next one work', async () => {
  const first = work('interrupted', 1)
  await until('it works', first.begun)
  const next = work('interrupted', 2)
  await until('the next one waits', () => next.run.err().includes('waiting to be let in'))
  first.run.kill('SIGINT')
  await done(first.run, 130)
  expect(first.run.err()).toContain('released as failure')
  expect(isAlive(first.pid())).toBe(false)
  await until('the next one works', next.begun)
  next.finish()
  await done(next.run)
})

it('a server that stays away: the command is dead when its lease ends, exit 75', async () => {
  const holder = work('lost', 1, '--lease', '15s', '--stop-grace', '500ms')
  await until('it works', holder.begun)
  const { expiresAt } = (await show('lost')).holder ?? { expiresAt: '' }
  await until('it is renewed', async () => ((await show('lost')).holder?.expiresAt ?? '') > expiresAt)
  server.running.kill()
  await server.running.exited
  await until('the command is dead', () => !isAlive(holder.pid()))
  server = await server.restart()
  await done(holder.run, 75)
  expect(holder.run.err()).toContain('the lease was lost: no renewal was acknowledged')
  expect(holder.run.err()).toContain('the command was stopped')
})
