import { CommanderError, type Command } from 'commander'
import { beforeEach, describe, expect, test } from 'vitest'
import type { LeaseContext, Output } from '../cli/context.ts'
import { printError } from '../cli/output.ts'
import type { SignalboxError } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import type { EndSignal } from '../supervisor/signals.ts'
import type { Outcome, SuperviseOptions } from '../supervisor/supervise.ts'
import type { LeaseAnswer, ProviderReport } from './api.ts'
import { leaseCommands } from './cli.ts'
import { lease, pending, refused, ScriptedLeases } from './testing/scripted-leases.ts'

class Text implements Output {
  text = ''
  readonly isTTY: boolean
  readonly columns = 100
  constructor(isTTY = false) {
    this.isTTY = isTTY
  }
  write(text: string): void {
    this.text += text
  }
  get lines(): string[] {
    return this.text.split('\n').filter(Boolean)
  }
}

/** A command that was started, and what it was told since. */
interface Started {
  readonly options: SuperviseOptions
  readonly orders: string[]
  end(outcome?: Partial<Outcome & { type: 'ended' }>): void
  fail(errno: string): void
}

let clock: ManualClock
let api: ScriptedLeases
let stdout: Text
let stderr: Text
let started: Started[]
let signal: (name: EndSignal) => void
let listening: boolean
let connections: object[]
let closed: number
let connectError: SignalboxError | undefined
let env: Record<string, string>

beforeEach(() => {
  clock = new ManualClock()
  api = new ScriptedLeases(clock)
  stdout = new Text()
  stderr = new Text()
  started = []
  listening = false
  connections = []
  closed = 0
  connectError = undefined
  env = { PATH: '/bin' }
})

/** Runs one command line as the program does. @returns the exit code, once it has ended */
async function signalbox(...argv: string[]): Promise<number> {
  let exitCode = 0
  const context: LeaseContext = {
    connect: async ({ url, dataDir }) => {
      connections.push({ url, dataDir })
      if (connectError !== undefined) throw connectError
      return { leases: api, describe: 'http://box', close: async () => void closed++ }
    },
    stdout,
    stderr,
    env,
    clock,
    random: seededRandom(1),
    setExitCode: (code) => (exitCode = code),
  }
  const command = leaseCommands(context, {
    supervise(options) {
      const done = Promise.withResolvers<Outcome>()
      const orders: string[] = []
      const ended = { type: 'ended', code: 0, signal: null, groupDead: true, overdue: false } as const
      started.push({
        options,
        orders,
        end: (outcome) => done.resolve({ ...ended, ...outcome }),
        fail: (errno) => done.resolve({ type: 'failed', errno }),
      })
      return {
        done: done.promise,
        extend: () => orders.push('extend'),
        stop: () => orders.push('stop'),
        kill: () => orders.push('kill'),
        signal: (name) => orders.push(name),
      }
    },
    listen(take) {
      listening = true
      signal = take
      return () => (listening = false)
    },
  })
  quiet(command)
  try {
    await command.parseAsync(argv, { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 64
    return printError(error, { stderr }, { json: argv.includes('--json') })
  }
}

function quiet(command: Command): void {
  command
    .exitOverride()
    .configureOutput({ writeOut: (t) => stdout.write(t), writeErr: (t) => stderr.write(t) })
  for (const child of command.commands) quiet(child)
}

/** Starts a command line; its exit code appears in `code`. */
async function start(...argv: string[]): Promise<{ code: number | undefined }> {
  const seen: { code: number | undefined } = { code: undefined }
  void signalbox(...argv).then((code) => (seen.code = code))
  await clock.settle()
  return seen
}

const group = ['acme/shop@main', '--head-sha', 'c3', '--priority', '3']
const run = (...more: string[]) => start('run', ...group, ...more, '--', 'make', 'test')
const first = (): Started => {
  const [command] = started
  if (command === undefined) throw new Error(`no command was started: ${stderr.text}`)
  return command
}
const released = (): unknown[] =>
  api.calls.flatMap(({ verb, request }) =>
    verb === 'release' && 'success' in request ? [request.success] : [],
  )
const granted = (more: Partial<LeaseAnswer> = {}) =>
  lease('acquired', { fence: 7, expiresAt: clock.now() + 60_000, leaseMs: 60_000, ...more })

describe('lease run', () => {
  test('runs the command while the lease is held, and tells its success', async () => {
    api.on('acquire', api.answer(lease('acquired', { fence: 7, stacked: [11, 12] })))
    const seen = await run('--head-ref', 'refs/heads/gh-readonly-queue/main/pr-12-abc', '--url', 'http://box')
    expect(connections).toEqual([{ url: 'http://box', dataDir: undefined }])
    const { options } = first()
    expect(options).toMatchObject({ command: 'make', args: ['test'], deadline: undefined })
    expect(options.env).toMatchObject({
      PATH: '/bin',
      SIGNALBOX_LEASE: 'acme/shop@main',
      SIGNALBOX_LEASE_STATUS: 'acquired',
      SIGNALBOX_LEASE_STACKED: '11 12',
      SIGNALBOX_FENCE: '7',
    })
    expect(options.marker).toBe(`SIGNALBOX_LEASE_ID=${options.env['SIGNALBOX_LEASE_ID']}`)
    expect([released(), listening]).toEqual([[], true])
    first().end()
    await clock.settle()
    expect([seen.code, released(), closed, listening, clock.pendingTimers]).toEqual([0, [true], 1, false, 0])
    expect(api.calls[0]?.request).toEqual({ sha: 'c3', ref: 'gh-readonly-queue/main/pr-12-abc', priority: 3 })
    expect(stderr.lines).toEqual([
      'acme/shop@main: asking http://box',
      'acme/shop@main: the lease is ours (fence 7, contains #11, #12, waited 0ms)',
      'acme/shop@main: released as success',
    ])
    expect(stdout.text).toBe('')
  })

  test.each([
    [{ code: 3 }, 3],
    [{ code: null, signal: 'SIGTERM' as const }, 143],
  ])('a command that ends with %j releases as failure', async (outcome, exitCode) => {
    const seen = await run()
    first().end(outcome)
    await clock.settle()
    expect([seen.code, released()]).toEqual([exitCode, [false]])
  })

  test.each([
    ['ENOENT', 127],
    ['EACCES', 126],
  ])('a command that cannot be started (%s) releases as failure', async (errno, exitCode) => {
    const seen = await run()
    first().fail(errno)
    await clock.settle()
    expect([seen.code, released()]).toEqual([exitCode, [false]])
  })

  test('completed: the command is not run, and that is a success', async () => {
    api.on('acquire', api.answer(pending('gathering', 1_000)), api.answer(lease('completed')))
    const seen = await run()
    await clock.advance(2_000)
    expect([seen.code, started, released()]).toEqual([0, [], []])
    expect(stderr.lines.at(-1)).toBe(
      'acme/shop@main: completed: a higher group, which contains this one, has succeeded; nothing is left to do',
    )
  })

  test('says why it waits when that changes, and every half minute', async () => {
    const waits = (left: number) => api.answer(pending(`gathering, ${left} s left`, 5_000))
    api.on('acquire', waits(60), waits(55), waits(50), api.answer(refused('acquired', 5_000)), waits(9))
    const seen = await run()
    await clock.advance(60_000)
    expect(stderr.lines.slice(1)).toEqual([
      'acme/shop@main: waiting for 0ms: gathering, 60 s left',
      expect.stringMatching(
        /^acme\/shop@main: waiting to be let in for 1\ds: commit c9 \(priority 9\) holds/,
      ),
      expect.stringMatching(/^acme\/shop@main: waiting for 2\ds: gathering, 9 s left$/),
      expect.stringMatching(/^acme\/shop@main: waiting for 5\ds: gathering, 9 s left$/),
    ])
    signal('SIGTERM')
    await clock.settle()
    expect([seen.code, released()]).toEqual([143, [false]])
  })

  test('a terminal gets one line that is rewritten', async () => {
    stderr = new Text(true)
    api.on('acquire', api.answer(pending('gathering', 5_000)))
    await run()
    await clock.advance(2_000)
    expect(stderr.text.split('\r\u001B[K').at(-1)).toBe('acme/shop@main: waiting for 2s: gathering')
    signal('SIGINT')
    await clock.settle()
    expect(stderr.text.endsWith('withdrawn\n')).toBe(true)
  })

  test('--json tells everything as lines of JSON; --quiet nothing', async () => {
    api.on('acquire', api.fail('unavailable'), api.answer(lease('acquired', { fence: 7 })))
    const seen = await run('--json')
    await clock.advance(1_000)
    first().end({ code: 2 })
    await clock.settle()
    expect(seen.code).toBe(2)
    expect(stderr.lines.map((line) => JSON.parse(line) as object)).toEqual([
      { provider: 'acme/shop@main', event: 'connected', server: 'http://box' },
      { provider: 'acme/shop@main', event: 'unreachable', message: 'http://box: unavailable', forMs: 0 },
      { provider: 'acme/shop@main', event: 'reachable' },
      { provider: 'acme/shop@main', event: 'acquired', fence: 7, stacked: [] },
      { provider: 'acme/shop@main', event: 'released', status: 'completed' },
      { provider: 'acme/shop@main', event: 'ended', exitCode: 2 },
    ])
    stderr = new Text()
    started = []
    const quietly = await run('--quiet')
    first().end()
    await clock.settle()
    expect([quietly.code, stderr.text]).toEqual([0, ''])
  })

  test('a signal goes to the command, whose end is then told as failure', async () => {
    const seen = await run()
    signal('SIGINT')
    await clock.advance(600)
    signal('SIGINT')
    expect(first().orders).toEqual(['SIGINT', 'kill'])
    first().end({ code: null, signal: 'SIGKILL' })
    await clock.settle()
    expect([seen.code, released()]).toEqual([137, [false]])
  })

  test.each(['SIGINT', 'SIGTERM'] as const)(
    'a command that was told to end by %s has not succeeded, even if it exits with 0',
    async (name) => {
      const seen = await run()
      signal(name)
      first().end({ code: 0 })
      await clock.settle()
      expect([first().orders, seen.code, released()]).toEqual([[name], 0, [false]])
      expect(stderr.lines.at(-1)).toBe('acme/shop@main: released as failure')
    },
  )

  test.each([
    ['refused', refused('not_holder'), 'commit c9 (priority 9) holds the lease for 5 s'],
    ['taken for a failure', lease('failure'), 'the server has it down as failed or given up'],
  ])('a success whose release is %s is a lost lease: 75', async (_, answer, why) => {
    api.on('release', api.answer(answer))
    const seen = await run()
    first().end({ code: 0 })
    await clock.settle()
    expect([seen.code, released(), closed, listening]).toEqual([75, [true], 1, false])
    expect(stderr.lines.slice(2)).toEqual([
      `signalbox: acme/shop@main: the lease was lost while the command ran, and others may have worked meanwhile: ${why}`,
    ])
    const warned = await run('--on-lost', 'warn')
    started[1]?.end({ code: 0 })
    await clock.settle()
    expect(warned.code).toBe(0)
    expect(stderr.lines.at(-1)).toMatch(/^acme\/shop@main: the lease was lost while .*\(--on-lost warn\)$/)
  })

  test('a failure whose release is refused is a warning; the command’s code stays', async () => {
    api.on('release', api.answer(refused('not_holder')))
    const seen = await run()
    first().end({ code: 3 })
    await clock.settle()
    expect(seen.code).toBe(3)
    expect(stderr.lines.at(-1)).toContain('the server does not take the release')
  })

  test('a renewed lease moves the command’s deadline; a lost one kills it: 75', async () => {
    api.on('acquire', api.answer(granted()), api.answer(granted()), api.fail('unavailable'))
    const seen = await run('--lease', '60s')
    expect(first().options.deadline).toEqual({ at: 48_000, wallAt: Date.UTC(2026, 0, 1) + 54_000 })
    await clock.advance(20_000)
    expect(first().orders).toEqual(['extend'])
    await clock.advance(43_000)
    expect(first().orders).toEqual(['extend', 'stop'])
    await clock.advance(5_000)
    expect(first().orders).toEqual(['extend', 'stop', 'kill'])
    expect([seen.code, released()]).toEqual([undefined, []])
    first().end({ code: null, signal: 'SIGKILL' })
    await clock.settle()
    expect([seen.code, released()]).toEqual([75, [false]])
    expect(stderr.lines.at(-1)).toBe(
      'signalbox: acme/shop@main: the lease was lost: no renewal was acknowledged for 48s; the command was stopped',
    )
  })

  test('a command that ends with 0 after the lease was lost is no success', async () => {
    api.on('acquire', api.answer(granted()), api.answer(refused()))
    const seen = await run('--lease', '60s')
    await clock.advance(20_000)
    first().end({ code: 0 })
    await clock.settle()
    expect([seen.code, released()]).toEqual([75, [false]])
  })

  test('--on-lost warn leaves the command running, which is no success then', async () => {
    api.on('acquire', api.answer(granted()), api.answer(refused()))
    const seen = await run('--lease', '60s', '--on-lost', 'warn')
    expect(first().options.deadline).toBeUndefined()
    await clock.advance(20_000)
    expect(first().orders).toEqual([])
    expect(stderr.text).toContain('the command goes on (--on-lost warn)')
    api.on('release', api.answer(refused('not_holder')))
    first().end()
    await clock.settle()
    expect([seen.code, released()]).toEqual([0, [false]])
    expect(stderr.lines.at(-1)).toContain('the server does not take the release')
  })

  test('a command that cannot be proven dead keeps the lease', async () => {
    const seen = await run('--lease', '60s')
    first().end({ code: null, groupDead: false })
    await clock.settle()
    expect([seen.code, released()]).toEqual([70, []])
    expect(stderr.text).toContain('the lease is not released and expires within 1m')
  })

  test('a release that the server never hears is a warning; the command’s code stays', async () => {
    api.on('release', api.fail('permission_denied'))
    const seen = await run()
    first().end({ code: 0 })
    await clock.settle()
    expect(seen.code).toBe(0)
    expect(stderr.lines.at(-1)).toContain('the lease could not be released and expires when the server')
  })

  test.each([
    [['--wait-timeout', '10s'], 124, 'the lease did not come within 10s'],
    [[], undefined, ''],
  ])('with %j a wait of a minute ends with %s', async (flags, code, message) => {
    api.on('acquire', api.answer(pending('why', 1_000)))
    const seen = await run(...flags)
    await clock.advance(60_000)
    expect(seen.code).toBe(code)
    expect(stderr.text).toContain(message)
  })

  test.each([
    ['not_found', 66],
    ['permission_denied', 77],
    ['invalid_argument', 64],
  ] as const)('%s ends it with %i', async (code, exitCode) => {
    api.on('acquire', api.fail(code))
    expect((await run()).code).toBe(exitCode)
    expect(started).toEqual([])
  })
})

describe('inputs, checked before anything is asked', () => {
  test.each([
    [['run', '--head-sha', 'c3', '--priority', '3'], 'provider: missing; write OWNER/REPO@BASE'],
    [['run', ...group], 'command: missing; write it after --'],
    [['run', 'make', 'test'], "provider: 'make' is not the name of a lease provider"],
    [['acquire', 'acme/shop', '--head-sha', 'c3', '--priority', '3'], "provider: 'acme/shop' is not"],
    [['acquire', 'acme/shop@main', '--priority', '3'], '--head-sha: missing'],
    [
      ['acquire', 'acme/shop@main', '--head-sha', 'c 3', '--priority', '3'],
      "--head-sha: 'c 3' is not a commit",
    ],
    [['acquire', 'acme/shop@main', '--head-sha', 'c3'], '--priority: missing; give the number of commits'],
    [
      ['acquire', 'acme/shop@main', '--head-sha', 'c3', '--priority', '0'],
      "--priority: '0' must be a whole number from 1",
    ],
    [['acquire', ...group, '--head-ref', 'main'], "--head-ref: 'main' is not a branch of a merge queue"],
    [['acquire', ...group, '--lease', 'soon'], "--lease: 'soon' is not a duration"],
    [
      ['run', ...group, '--lease', '16s', '--', 'make'],
      '--lease: 16s is too short with a stop grace of 5s; use at least 17s',
    ],
    [['run', ...group, '--on-lost', 'cry', '--', 'make'], "--on-lost: 'cry' must be kill or warn"],
    [['run', ...group, '--wait-timeout', '-1', '--', 'make'], '--wait-timeout'],
    [
      ['release', ...group],
      '--status: missing; it must be success, failure, cancelled, timed_out or skipped',
    ],
    [['release', ...group, '--status', 'ok'], "--status: 'ok' must be success"],
    [['clear', 'acme/shop@main'], '--reason: missing'],
    [['show', 'shop'], "provider: 'shop' is not"],
  ])('%j', async (argv, message) => {
    expect(await signalbox(...argv)).toBe(64)
    expect(stderr.text).toContain(message)
    expect(stderr.lines).toHaveLength(1)
    expect([connections, api.calls]).toEqual([[], []])
  })

  test('a workflow run for a merge group knows its own', async () => {
    Object.assign(env, {
      GITHUB_ACTIONS: 'true',
      GITHUB_REPOSITORY: 'acme/shop',
      GITHUB_REF: 'refs/heads/gh-readonly-queue/release/1.2/pr-12-abc',
      GITHUB_SHA: 'f00',
    })
    await start('run', '--priority', '2', '--', 'make', 'test')
    expect(api.calls[0]).toMatchObject({
      provider: { owner: 'acme', repo: 'shop', baseRef: 'release/1.2' },
      request: { sha: 'f00', ref: 'gh-readonly-queue/release/1.2/pr-12-abc', priority: 2 },
    })
    expect(first().options).toMatchObject({ command: 'make', args: ['test'] })
    await start('run', 'acme/other@main', '--priority', '2', '--head-sha', 'beef', '--', 'make')
    expect(api.calls[1]).toMatchObject({
      provider: { repo: 'other', baseRef: 'main' },
      request: { sha: 'beef' },
    })
  })

  test.each([
    { GITHUB_REF: 'refs/heads/main' },
    { GITHUB_REF: 'refs/pull/12/merge' },
    { GITHUB_ACTIONS: 'false' },
  ])('any other run does not: %j', async (other) => {
    Object.assign(env, {
      GITHUB_ACTIONS: 'true',
      GITHUB_REPOSITORY: 'acme/shop',
      GITHUB_REF: 'refs/heads/gh-readonly-queue/main/pr-12-abc',
      GITHUB_SHA: 'f00',
      ...other,
    })
    expect(await signalbox('acquire', '--priority', '2')).toBe(64)
    expect(await signalbox('acquire', 'acme/shop@main', '--priority', '2')).toBe(64)
    expect(api.calls).toEqual([])
  })
})

describe('lease acquire', () => {
  test.each([
    ['acquired', lease('acquired', { fence: 7, expiresAt: 0, stacked: [3] })],
    ['completed', lease('completed')],
  ])('waits, prints %s and is done', async (status, answer) => {
    api.on('acquire', api.answer(pending('why', 1_000)), api.answer(answer))
    const seen = await start('acquire', ...group)
    await clock.advance(2_000)
    expect([seen.code, stdout.text]).toEqual([0, `${status}\n`])
    expect([released(), closed, listening, clock.pendingTimers]).toEqual([[], 1, false, 0])
  })

  test('--json prints the whole answer', async () => {
    api.on('acquire', api.answer(lease('acquired', { fence: 7, expiresAt: 0, stacked: [3] })))
    expect(await signalbox('acquire', ...group, '--json', '--lease', '5s')).toBe(0)
    expect(JSON.parse(stdout.text)).toEqual({
      provider: 'acme/shop@main',
      status: 'acquired',
      sha: 'c3',
      priority: 3,
      fence: 7,
      expiresAt: '1970-01-01T00:00:00.000Z',
      stacked: [3],
    })
    expect(api.calls[0]?.request).toMatchObject({ leaseMs: 5_000 })
    expect(clock.pendingTimers).toBe(0)
  })

  test.each([
    ['pending', pending('gathering', 1_000), 75],
    ['refused', refused(), 75],
    ['acquired', lease('acquired'), 0],
    ['completed', lease('completed'), 0],
  ])('--no-wait asks once: %s', async (status, answer, code) => {
    api.on('acquire', api.answer(answer))
    expect(await signalbox('acquire', ...group, '--no-wait')).toBe(code)
    expect([stdout.text, api.calls.length, closed]).toEqual([`${status}\n`, 1, 1])
    expect(stderr.text).toBe(answer.reason === undefined ? '' : `acme/shop@main: ${answer.reason}\n`)
  })

  test('Ctrl-C while waiting withdraws the request', async () => {
    api.on('acquire', api.answer(pending('why', 1_000)))
    const seen = await start('acquire', ...group)
    signal('SIGINT')
    await clock.settle()
    expect([seen.code, released(), stdout.text]).toEqual([130, [false], ''])
  })
})

describe('lease release', () => {
  test.each([
    ['success', true],
    ['failure', false],
    ['cancelled', false],
    ['timed_out', false],
    ['skipped', false],
  ])('--status %s', async (status, success) => {
    expect(await signalbox('release', ...group, '--status', status)).toBe(0)
    expect(released()).toEqual([success])
    expect(stdout.text).toBe('completed\n')
  })

  test('outlasts a server that is restarted, and can be given up', async () => {
    api.on('release', api.fail('unavailable'), api.answer(lease('completed')))
    const seen = await start('release', ...group, '--status', 'success', '--json')
    await clock.advance(1_000)
    expect([seen.code, JSON.parse(stdout.text)]).toMatchObject([0, { status: 'completed', sha: 'c3' }])
    api.on('release', api.fail('unavailable'))
    const given = await start('release', ...group, '--status', 'success')
    signal('SIGTERM')
    await clock.settle()
    expect([given.code, closed]).toEqual([143, 2])
  })

  test('a success that the server has down as a failure is an error', async () => {
    api.on('release', api.answer(lease('failure')))
    expect(await signalbox('release', ...group, '--status', 'success')).toBe(65)
    expect([stdout.text, stderr.lines]).toEqual([
      '',
      [
        'signalbox: acme/shop@main: this commit does not hold the lease, so nothing was released: the server has it down as failed or given up',
      ],
    ])
    expect(await signalbox('release', ...group, '--status', 'failure')).toBe(0)
    expect(stdout.text).toBe('failure\n')
  })

  test('of a lease that is not this commit’s is an error that says whose it is', async () => {
    api.on('release', api.answer(refused('not_holder')))
    expect(await signalbox('release', ...group, '--status', 'success')).toBe(65)
    expect(stderr.lines).toEqual([
      'signalbox: acme/shop@main: this commit does not hold the lease, so nothing was released: commit c9 (priority 9) holds the lease for 5 s',
    ])
  })
})

describe('looking', () => {
  const sha = '3f2a91c04c1de0b1f2a91c04c1de0b1f2a91c04c'
  const now = Date.UTC(2026, 0, 1)
  const held: ProviderReport = {
    name: { owner: 'acme', repo: 'shop', baseRef: 'main' },
    config: { stabilizeMs: 300_000, ttlMs: 30_000, expectedCount: 4, delayCount: 1 },
    updatedAt: now,
    holder: {
      sha,
      priority: 3,
      status: 'acquired',
      pullRequest: 12,
      fence: 7,
      grantedAt: now - 60_000,
      expiresAt: now + 60_000,
    },
    stacked: [11, 12],
    known: [
      {
        sha: 'c1',
        priority: 1,
        status: 'pending',
        joinedAt: now - 90_000,
        seenAt: now + 500,
        pullRequest: 11,
      },
      { sha, priority: 3, status: 'acquired', joinedAt: now - 120_000, seenAt: now - 2_000, pullRequest: 12 },
    ],
    phase: 'held',
    lastFence: 7,
    reason: '#12 (priority 3) holds the lease',
  }
  const bare: ProviderReport = {
    name: { owner: 'acme', repo: 'app', baseRef: 'x' },
    config: {},
    updatedAt: 0,
    holder: { sha: 'c2\u001B[2J', priority: 2, status: 'completed' },
    stacked: [],
    known: [{ sha: 'c2\u001B[2J', priority: 2, status: 'completed' }],
  }

  test('list', async () => {
    expect(await signalbox('list')).toBe(0)
    expect(stdout.text).toBe('No lease providers.\n')
    stdout = new Text()
    api.providers = [held, bare]
    await signalbox('list', '--url', 'http://box')
    expect(stdout.lines).toEqual([
      'PROVIDER        PHASE     HOLDER    WAITING  WHY',
      'acme/app@x      draining  c2?[2J    0',
      'acme/shop@main  held      3f2a91c0  1        #12 (priority 3) holds the lease',
    ])
    expect(closed).toBe(2)
  })

  test('show', async () => {
    api.providers = [held, bare]
    expect(await signalbox('show', 'acme/shop@main')).toBe(0)
    expect(stdout.lines).toEqual([
      'acme/shop@main: held, last fence 7, window 5m, or 4 requests, ttl 30s, delayed by 1 polls',
      '#12 (priority 3) holds the lease',
      'STATE    PR   COMMIT    PRIORITY  KNOWN FOR  SEEN AGO',
      'holding  #12  3f2a91c0  3         2m         2s        fence 7, contains #11 #12, expires in 1m',
      'waiting  #11  c1        1         1m 30s     0ms',
    ])
    stdout = new Text()
    await signalbox('show', 'acme/app@x')
    expect(stdout.lines).toEqual([
      'acme/app@x: draining',
      'STATE      PR  COMMIT  PRIORITY  KNOWN FOR  SEEN AGO',
      'succeeded  -   c2?[2J  2         -          -',
    ])
    expect(await signalbox('show', 'acme/none@x')).toBe(66)
  })

  test('as JSON, with times as ISO 8601', async () => {
    api.providers = [held]
    await signalbox('show', 'acme/shop@main', '--json')
    expect(JSON.parse(stdout.text)).toMatchObject({
      provider: 'acme/shop@main',
      phase: 'held',
      holder: { sha, fence: 7, expiresAt: '2026-01-01T00:01:00.000Z' },
      known: [{ sha: 'c1', joinedAt: '2025-12-31T23:58:30.000Z' }, { sha }],
    })
    stdout = new Text()
    await signalbox('list', '--json')
    expect(JSON.parse(stdout.text)).toMatchObject({ providers: [{ provider: 'acme/shop@main' }] })
  })

  test('clear says what it forgot', async () => {
    api.providers = [held]
    expect(await signalbox('clear', 'acme/shop@main', '--reason', 'the runner is gone')).toBe(0)
    expect(stdout.text).toBe('acme/shop@main: cleared, the lease of 3f2a91c0 and 1 other request forgotten\n')
    expect(api.cleared).toEqual([held.name])
  })
})
