import { type Command, CommanderError } from 'commander'
import { beforeEach, describe, expect, test } from 'vitest'
import type { CliContext, Output } from '../cli/context.ts'
import { printError } from '../cli/output.ts'
import { SignalboxError } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { actorName, defaultLabels, labelName } from './cli/labels.ts'
import type { EndSignal } from '../supervisor/signals.ts'
import { waitingLine } from './cli/waiting-line.ts'
import { turnCommands } from './cli.ts'
import type { Deadline } from './session.ts'
import { checkPlatform, type Outcome, type SuperviseOptions } from '../supervisor/supervise.ts'
import { member, ScriptedTurns } from './testing/scripted-turns.ts'

class Text implements Output {
  text = ''
  readonly isTTY: boolean
  readonly columns = 60
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
  readonly deadlines: Deadline[]
  end(outcome?: Partial<Outcome & { type: 'ended' }>): void
  fail(errno: string): void
}

let clock: ManualClock
let api: ScriptedTurns
let stdout: Text
let stderr: Text
let started: Started[]
let signal: (name: EndSignal) => void
let listening: boolean
let connections: object[]
let closed: number
let connectError: SignalboxError | undefined
let exitCode: number | undefined
let env: Record<string, string>

beforeEach(() => {
  clock = new ManualClock()
  api = new ScriptedTurns(clock)
  stdout = new Text()
  stderr = new Text()
  started = []
  listening = false
  connections = []
  closed = 0
  connectError = undefined
  exitCode = undefined
  env = { PATH: '/bin', USER: 'ann' }
})

function context(): CliContext {
  return {
    connect: async (options) => {
      connections.push({ ...options })
      if (connectError !== undefined) throw connectError
      return {
        turns: api,
        describe: 'http://box',
        close: async () => {
          closed++
        },
      }
    },
    stdout,
    stderr,
    env,
    clock,
    random: seededRandom(1),
    setExitCode: (code) => {
      exitCode = code
    },
  }
}

/** Runs one command line as the program does. @returns the exit code, once it has ended */
async function signalbox(...argv: string[]): Promise<number> {
  const command = turnCommands(context(), {
    supervise(options) {
      const done = Promise.withResolvers<Outcome>()
      const orders: string[] = []
      const deadlines: Deadline[] = []
      const ended = { type: 'ended', code: 0, signal: null, groupDead: true, overdue: false } as const
      started.push({
        options,
        orders,
        deadlines,
        end: (outcome) => done.resolve({ ...ended, ...outcome }),
        fail: (errno) => done.resolve({ type: 'failed', errno }),
      })
      return {
        done: done.promise,
        extend: (deadline) => deadlines.push(deadline),
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
    return exitCode ?? 0
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
function start(...argv: string[]): { code: number | undefined } {
  const seen: { code: number | undefined } = { code: undefined }
  void signalbox(...argv).then((code) => (seen.code = code))
  return seen
}

const ops = (): string[] => api.calls.map(({ op }) => op)
const holding = (facts: object = {}) => member({ state: 'holding', fence: 7, position: 0, ...facts })

describe('turn run: inputs', () => {
  test.each([
    [['', '--', 'true'], "queue: '' must be 1 to 128 characters"],
    [['a b', '--', 'true'], "queue: 'a b' must be 1 to 128 characters"],
    [['q'.repeat(129), '--', 'true'], `queue: '${'q'.repeat(40)}' must be`],
    [['deploy'], 'command: missing; write it after --'],
    [['deploy', '--'], 'command: missing'],
    [['deploy', '--permits', '0', '--', 'true'], "--permits: '0' must be a whole number from 1 to 500"],
    [['deploy', '--permits', '1.5', '--', 'true'], '--permits'],
    [['deploy', '--permits', 'two', '--', 'true'], '--permits'],
    [['deploy', '--permits', '501', '--', 'true'], '--permits'],
    [
      ['deploy', '--priority', 'high!', '--', 'true'],
      "--priority: 'high!' must be low, normal, high, urgent",
    ],
    [['deploy', '--priority', '100', '--', 'true'], "--priority: '100' must be a whole number from 0 to 99"],
    [['deploy', '--ttl', 'soon', '--', 'true'], "--ttl: 'soon' is not a duration"],
    [
      ['deploy', '--ttl', '10s', '--', 'true'],
      '--ttl: 10s is too short with a stop grace of 5s; use at least 17s',
    ],
    [['deploy', '--lease', '10s', '--', 'true'], '--lease: 10s is too short'],
    [['deploy', '--ttl', '20s', '--lease', '30s', '--', 'true'], '--ttl and --lease'],
    [['deploy', '--ttl', '500ms', '--', 'true'], "--ttl: '500ms' must be from 1s to 24h"],
    [['deploy', '--ttl', '2d', '--', 'true'], "--ttl: '2d' must be from 1s to 24h"],
    [
      ['deploy', '--stop-grace', '1m', '--', 'true'],
      '--ttl: 45s is too short with a stop grace of 1m; use at least 1m 53s',
    ],
    [['deploy', '--wait-timeout', '-1', '--', 'true'], "--wait-timeout: '-1' is not a duration"],
    [['deploy', '--on-lost', 'ignore', '--', 'true'], "--on-lost: 'ignore' must be kill or warn"],
    [['deploy', '--label', 'plain', '--', 'true'], "--label: 'plain' must be written key=value"],
    [['deploy', '--label', '=x', '--', 'true'], '--label'],
    [['deploy', '--label', `k=${'v'.repeat(257)}`, '--', 'true'], '--label: not within the limits'],
    [
      ['deploy', ...Array.from({ length: 17 }, (_, i) => ['--label', `k${i}=v`]).flat(), '--', 'true'],
      'at most 16 labels',
    ],
  ])('%j: one line that names the input, exit 64, no call', async (argv, message) => {
    expect(await signalbox('run', ...argv)).toBe(64)
    expect(stderr.lines).toHaveLength(1)
    expect(stderr.text).toMatch(/^signalbox: /)
    expect(stderr.text).toContain(message)
    expect(connections).toEqual([])
    expect(api.calls).toEqual([])
  })

  test('an unknown option, or no queue, is a usage error', async () => {
    expect(await signalbox('run', 'deploy', '--prioritty', '1', '--', 'true')).toBe(64)
    expect(await signalbox('run')).toBe(64)
    expect(connections).toEqual([])
  })

  test('are passed on as asked for', async () => {
    const argv = [
      '--permits',
      '3',
      '--priority',
      'urgent',
      '--lease',
      '2m',
      '--label',
      'team=web=1',
      '--label',
      'user=bob',
    ]
    start('run', 'acme/web:prod@eu', ...argv, '--url', 'http://box', '--', 'make', '-j', '--', '--deploy')
    await clock.settle()
    expect(connections[0]).toMatchObject({ url: 'http://box' })
    expect(api.calls[0]).toMatchObject({
      queue: 'acme/web:prod@eu',
      request: {
        permits: 3,
        priority: 90,
        ttlMs: 120_000,
        labels: { team: 'web=1', user: 'bob', pid: String(process.pid) },
      },
    })
    expect(started[0]?.options).toMatchObject({
      command: 'make',
      args: ['-j', '--', '--deploy'],
      stopGraceMs: 5_000,
    })
  })

  test('a platform without process groups is named', () => {
    expect(() => checkPlatform('win32')).toThrow(/win32/)
  })
})

describe('turn run: the command', () => {
  test('gets fence, turn and queue in its environment, and its exit code is the result', async () => {
    const run = start('run', 'deploy', '--', 'make')
    await clock.settle()
    const { id } = api.calls[0]!
    expect(started[0]?.options).toMatchObject({
      env: { PATH: '/bin', SIGNALBOX_FENCE: '7', SIGNALBOX_TURN: id, SIGNALBOX_QUEUE: 'deploy' },
      marker: `SIGNALBOX_TURN=${id}`,
      deadline: { at: 36_000 },
    })
    expect(stderr.text).toBe('deploy: asking http://box\ndeploy: your turn (fence 7, waited 0ms)\n')
    expect(ops()).toEqual(['join'])
    started[0]?.end({ code: 3 })
    await clock.settle()
    expect(run.code).toBe(3)
    expect(ops()).toEqual(['join', 'leave'])
    expect(api.calls[1]).toMatchObject({ id, fence: 7 })
    expect([closed, listening, clock.pendingTimers, stdout.text]).toEqual([1, false, 0, ''])
  })

  test('ended by a signal: 128 and its number', async () => {
    const run = start('run', 'deploy', '--', 'make')
    await clock.settle()
    started[0]?.end({ code: null, signal: 'SIGSEGV' })
    await clock.settle()
    expect(run.code).toBe(139)
  })

  test.each([
    ['ENOENT', 127, "signalbox: command 'make': not found"],
    ['EACCES', 126, "signalbox: command 'make': not executable"],
    ['E2BIG', 126, "signalbox: command 'make': cannot be started"],
    ['EAGAIN', 126, "signalbox: command 'make': cannot be started (EAGAIN)"],
  ])(
    'that cannot be started (%s): exit %i, one line, and the turn is released',
    async (errno, code, line) => {
      const run = start('run', 'deploy', '--quiet', '--', 'make')
      await clock.settle()
      started[0]?.fail(errno)
      await clock.settle()
      expect(run.code).toBe(code)
      expect(stderr.lines).toHaveLength(1)
      expect(stderr.text).toContain(line)
      expect(ops()).toEqual(['join', 'leave'])
    },
  )

  test('whose deadline moves on is told so', async () => {
    start('run', 'deploy', '--', 'make')
    await clock.advance(25_000)
    expect(started[0]?.deadlines.map(({ at }) => at)).toEqual([46_000, 56_000])
  })

  test('whose supervisor was killed: exit 70 and a line, the turn released', async () => {
    const run = start('run', 'deploy', '--quiet', '--', 'make')
    await clock.settle()
    started[0]?.end({ code: null, signal: null })
    await clock.settle()
    expect(run.code).toBe(70)
    expect(stderr.text).toContain('its supervisor was killed')
    expect(ops()).toEqual(['join', 'leave'])
  })

  test('that cannot be proven dead keeps its turn until it lapses, and that is said', async () => {
    const run = start('run', 'deploy', '--quiet', '--', 'make')
    await clock.settle()
    started[0]?.end({ code: 5, groupDead: false })
    await clock.advance(120_000)
    expect(run.code).toBe(5)
    expect(ops()).toEqual(['join'])
    expect(stderr.text).toBe(
      'deploy: the command cannot be proven dead; the turn is not released and lapses within 45s\n',
    )
  })
})

describe('turn run: a lost turn', () => {
  test('stops the command a grace before the deadline, kills it at it, exits 75', async () => {
    api.on('beat', api.fail('unavailable'))
    const run = start('run', 'deploy', '--', 'make')
    await clock.advance(31_000)
    expect(started[0]?.orders).toEqual(['stop'])
    await clock.advance(5_000)
    expect(started[0]?.orders).toEqual(['stop', 'kill'])
    started[0]?.end({ code: null, signal: 'SIGKILL' })
    await clock.settle()
    expect(run.code).toBe(75)
    expect(stderr.lines.at(-1)).toBe(
      'signalbox: deploy: the turn was lost: no beat was acknowledged for 36s; the command was stopped',
    )
    expect(ops().at(-1)).toBe('leave')
  })

  test('is 75 also when the command ends well after being told to stop', async () => {
    api.on('beat', api.fail('unavailable'))
    const run = start('run', 'deploy', '--', 'make')
    await clock.advance(32_000)
    started[0]?.end({ code: 0 })
    await clock.settle()
    expect(run.code).toBe(75)
  })

  test('is 75 when the supervisor ended the command at its deadline while this process was frozen', async () => {
    const run = start('run', 'deploy', '--', 'make')
    await clock.settle()
    started[0]?.end({ code: null, signal: 'SIGKILL', overdue: true })
    await clock.settle()
    expect(run.code).toBe(75)
    expect(stderr.text).toContain('its deadline passed')
  })

  test('refused by the server: the command is killed at once', async () => {
    api.on('beat', api.fail('turn_lost'))
    start('run', 'deploy', '--', 'make')
    await clock.advance(10_000)
    expect(started[0]?.orders).toEqual(['stop', 'kill'])
    expect(stderr.lines.at(-1)).toBe('deploy: the turn was lost: scripted turn_lost; stopping the command')
  })

  test('with --on-lost warn the command goes on, without a deadline, and its exit code counts', async () => {
    api.on('beat', api.fail('turn_lost'))
    const run = start('run', 'deploy', '--on-lost', 'warn', '--quiet', '--', 'make')
    await clock.advance(60_000)
    expect(started[0]?.options.deadline).toBeUndefined()
    expect(started[0]?.orders).toEqual([])
    expect(stderr.text).toBe(
      'deploy: the turn was lost: scripted turn_lost; the command goes on (--on-lost warn)\n',
    )
    started[0]?.end({ code: 0 })
    await clock.settle()
    expect(run.code).toBe(0)
  })
})

describe('turn run: signals', () => {
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
    ['SIGQUIT', 131],
  ] as const)('%s while waiting leaves the queue, exit %i', async (name, code) => {
    api.on('join', api.answer(member()))
    const run = start('run', 'deploy', '--', 'make')
    await clock.advance(1_000)
    signal(name)
    await clock.settle()
    expect(run.code).toBe(code)
    expect(ops().at(-1)).toBe('leave')
    expect(started).toEqual([])
    expect([closed, listening, clock.pendingTimers]).toEqual([1, false, 0])
  })

  test('while connecting ends before joining', async () => {
    const run = start('run', 'deploy', '--', 'make')
    signal('SIGINT')
    await clock.settle()
    expect(run.code).toBe(130)
    expect(api.calls).toEqual([])
  })

  test('while running go to the command; the turn is released when that has ended', async () => {
    const run = start('run', 'deploy', '--', 'make')
    await clock.settle()
    signal('SIGTERM')
    await clock.advance(1_000)
    expect(started[0]?.orders).toEqual(['SIGTERM'])
    expect([run.code, ops()]).toEqual([undefined, ['join']])
    started[0]?.end({ code: null, signal: 'SIGTERM' })
    await clock.settle()
    expect([run.code, ops()]).toEqual([143, ['join', 'leave']])
  })

  test('a second Ctrl-C kills, but not the copy that npx passes on', async () => {
    start('run', 'deploy', '--', 'make')
    await clock.settle()
    signal('SIGINT')
    await clock.advance(20)
    signal('SIGINT')
    await clock.advance(480)
    expect(started[0]?.orders).toEqual(['SIGINT', 'SIGINT'])
    signal('SIGINT')
    expect(started[0]?.orders).toEqual(['SIGINT', 'SIGINT', 'kill'])
  })

  test('while releasing gives up the release, but not the copy of the one that ended the command', async () => {
    api.on('leave', api.fail('unavailable'))
    const run = start('run', 'deploy', '--quiet', '--', 'make')
    await clock.settle()
    signal('SIGINT')
    started[0]?.end({ code: 130 })
    await clock.advance(100)
    signal('SIGINT')
    await clock.advance(1_000)
    expect(run.code).toBeUndefined()
    signal('SIGINT')
    await clock.settle()
    expect(run.code).toBe(130)
    expect(stderr.text).toContain('the turn could not be released and lapses within 45s')
    expect(clock.pendingTimers).toBe(0)
  })
})

describe('turn run: failures', () => {
  test('no server: exit 69 and how to start one', async () => {
    connectError = new SignalboxError('unavailable', 'no server is running; start one')
    expect(await signalbox('run', 'deploy', '--', 'make')).toBe(69)
    expect(stderr.text).toBe('signalbox: no server is running; start one\n')
    expect(listening).toBe(false)
  })

  test.each([
    ['conflict', 65],
    ['queue_paused', 75],
    ['unauthenticated', 77],
    ['turn_lost', 75],
  ] as const)('a join refused with %s: exit %i, one line', async (code, exit) => {
    api.on('join', api.fail(code))
    expect(await signalbox('run', 'deploy', '--quiet', '--', 'make')).toBe(exit)
    expect(stderr.text).toBe(`signalbox: scripted ${code}\n`)
    expect(closed).toBe(1)
  })

  test('the wait time-out: exit 124', async () => {
    api.on('join', api.answer(member()))
    const run = start('run', 'deploy', '--wait-timeout', '10', '--', 'make')
    await clock.advance(10_000)
    expect(run.code).toBe(124)
    expect(stderr.lines.at(-1)).toContain('did not come within 10s')
    expect(ops().at(-1)).toBe('leave')
  })
})

describe('turn run: reports', () => {
  const line = (position: number, afterMs: number, facts: object = {}) =>
    api.answer(
      member({
        position,
        pollMs: 30_000,
        holders: [{ id: 'ab12cd34ef', fence: 6, sinceMs: 80_000 + afterMs }],
        estimatedWaitMs: 240_000,
        ...facts,
      }),
      afterMs,
    )

  beforeEach(() => {
    api.on('join', line(2, 0))
    api.on('wait', line(2, 5_000), line(1, 5_000), line(1, 25_000), line(1, 5_000), api.answer(holding(), 0))
  })

  test('elsewhere than on a terminal: a line at each change, and one each half minute', async () => {
    start('run', 'deploy', '--', 'make')
    await clock.advance(60_000)
    expect(stderr.lines).toEqual([
      'deploy: asking http://box',
      'deploy: waiting, position 2 of the line; held by ab12cd34 for 1m 20s; about 4m',
      'deploy: waiting, position 1 of the line; held by ab12cd34 for 1m 25s; about 4m',
      'deploy: waiting, position 1 of the line; held by ab12cd34 for 1m 25s; about 4m',
      'deploy: your turn (fence 7, waited 40s)',
    ])
  })

  test('on a terminal: one line that is rewritten each second and fits its width', async () => {
    stderr = new Text(true)
    start('run', 'deploy', '--', 'make')
    await clock.advance(2_000)
    expect(stderr.text).toBe(
      [
        'deploy: asking http://box\n',
        'deploy: waiting, position 2 of the line; held by ab12cd34 f',
        '\r\u001B[Kdeploy: waiting, position 2 of the line; held by ab12cd34 f',
        '\r\u001B[Kdeploy: waiting, position 2 of the line; held by ab12cd34 f',
      ].join(''),
    )
    await clock.advance(58_000)
    expect(stderr.text.endsWith('\r\u001B[Kdeploy: your turn (fence 7, waited 40s)\n')).toBe(true)
  })

  test('on a terminal the line is ended when the waiting is', async () => {
    stderr = new Text(true)
    api.on('wait', api.hang())
    const run = start('run', 'deploy', '--', 'make')
    await clock.advance(1_500)
    signal('SIGINT')
    await clock.settle()
    expect(run.code).toBe(130)
    expect(stderr.text.endsWith('\r\u001B[Kdeploy: left the queue\n')).toBe(true)
    expect(clock.pendingTimers).toBe(0)
  })

  test('--json: each report is a line of JSON, and so is the end', async () => {
    const run = start('run', 'deploy', '--json', '--', 'make')
    await clock.advance(60_000)
    started[0]?.end({ code: 4 })
    await clock.settle()
    expect(run.code).toBe(4)
    const events = stderr.lines.map((text) => JSON.parse(text) as Record<string, unknown>)
    expect(events.map(({ event }) => event)).toEqual([
      'connected',
      'waiting',
      'waiting',
      'waiting',
      'granted',
      'ended',
    ])
    expect(events[1]).toMatchObject({ queue: 'deploy', position: 2, estimatedWaitMs: 240_000, ticket: 12 })
    expect(events[4]).toMatchObject({ fence: 7, waitedMs: 40_000, positionAtJoin: 2 })
    expect(events[5]).toEqual({ queue: 'deploy', event: 'ended', exitCode: 4 })
  })

  test('--quiet says nothing while all goes well', async () => {
    start('run', 'deploy', '--quiet', '--', 'make')
    await clock.advance(60_000)
    started[0]?.end()
    await clock.settle()
    expect(stderr.text).toBe('')
  })

  test('a server that goes away is reported once a half minute, and its return', async () => {
    api.on('wait', api.fail('unavailable'))
    start('run', 'deploy', '--', 'make')
    await clock.advance(45_000)
    api.on('wait', line(2, 5_000), api.hang())
    await clock.advance(10_000)
    expect(stderr.lines.slice(2)).toEqual([
      'deploy: scripted unavailable; still trying for 0ms',
      expect.stringMatching(/^deploy: scripted unavailable; still trying for 3\ds$/),
      'deploy: reachable again',
      expect.stringContaining('position 2'),
    ])
  })

  test('beats that fail are reported with the time that is left', async () => {
    api.on('join', api.answer(holding()))
    api.on('beat', api.fail('unavailable'))
    start('run', 'deploy', '--', 'make')
    await clock.advance(21_000)
    api.on('beat', api.answer({ elapsedMs: 0 }))
    await clock.advance(1_000)
    expect(stderr.lines.slice(2)).toEqual([
      'deploy: scripted unavailable; the turn is safe for another 26s',
      'deploy: scripted unavailable; the turn is safe for another 16s',
      'deploy: reachable again, the turn is kept',
    ])
  })
})

describe('turn list and turn show', () => {
  const at = (agoMs: number): string => new Date(clock.now() - agoMs).toISOString()
  const labels = { user: 'ann', host: 'lap\u001B[31mtop' }

  beforeEach(() => {
    api.queues.push({
      queue: 'deploy',
      permits: 1,
      state: 'open',
      holders: [
        {
          id: 'ab12cd34ef',
          ticket: 1,
          fence: 6,
          priority: 50,
          joinedAt: at(9_000),
          grantedAt: at(80_000),
          ttlMs: 45_000,
          labels,
        },
      ],
      waiters: [
        {
          id: 'ef56ab78cd',
          ticket: 2,
          priority: 75,
          position: 1,
          joinedAt: at(5_000),
          ttlMs: 45_000,
          inWindow: true,
          labels: {},
        },
      ],
      moreWaiters: true,
      lastTicket: 2,
      lastFence: 6,
      averageHoldMs: 240_000,
    })
  })

  test('list prints aligned columns', async () => {
    api.queues.push({ ...api.queues[0]!, queue: 'acme/web:prod', permits: 10, holders: [] })
    expect(await signalbox('list')).toBe(0)
    expect(stdout.text).toBe(
      [
        'QUEUE          STATE  PERMITS  HOLDING  WAITING',
        'deploy         open   1        1        1',
        'acme/web:prod  open   10       0        1',
        '',
      ].join('\n'),
    )
    expect(stderr.text).toBe('')
    expect(closed).toBe(1)
  })

  test('list reads page after page, up to the limit', async () => {
    const summary = { permits: 1, state: 'open', holding: 0, waiting: 0 } as const
    const asked: unknown[] = []
    api.list = async (options) => {
      asked.push(options)
      const first = options?.after === undefined ? 0 : Number(options.after) + 1
      const queues = Array.from({ length: options?.limit ?? 0 }, (_, i) => ({
        ...summary,
        queue: `${first + i}`,
      }))
      return { queues, next: queues.at(-1)?.queue ?? '' }
    }
    expect(await signalbox('list', '--limit', '250', '--json')).toBe(0)
    const printed = JSON.parse(stdout.text) as { queues: object[]; next: string }
    expect([printed.queues.length, printed.next]).toEqual([250, '249'])
    expect(asked).toEqual([{ limit: 100 }, { limit: 100, after: '99' }, { limit: 50, after: '199' }])
  })

  test('list of nothing says so', async () => {
    api.queues.splice(0)
    await signalbox('list')
    expect(stdout.text).toBe('No turn queues yet.\n')
    stdout = new Text()
    await signalbox('list', '--json')
    expect(stdout.text).toBe('{"queues":[]}\n')
  })

  test('show tells who holds and who waits, and lets no label reach the terminal as a command', async () => {
    expect(await signalbox('show', 'deploy')).toBe(0)
    expect(stdout.text).toBe(
      [
        'deploy: open, 1 permit, last fence 6, held for 4m on average',
        `PLACE      ID        ${'WHO'.padEnd(15)}  FOR`,
        'holding    ab12cd34  ann@lap?[31mtop  1m 20s  fence 6',
        `waiting 1  ef56ab78  ${'-'.padEnd(15)}  5s      priority 75`,
        'More wait than are listed; raise --limit.',
        '',
      ].join('\n'),
    )
  })

  test('show --json prints the view', async () => {
    await signalbox('show', 'deploy', '--json')
    expect(JSON.parse(stdout.text)).toEqual(api.queues[0])
  })

  test.each([
    [['show', 'nope'], 66],
    [['show', 'a b'], 64],
    [['show', 'deploy', '--limit', '0'], 64],
    [['show', 'deploy', '--limit', '1001'], 64],
    [['list', '--limit', 'all'], 64],
    [['show'], 64],
  ])('%j: exit %i', async (argv, code) => {
    expect(await signalbox(...argv)).toBe(code)
    expect(stdout.text).toBe('')
  })

  test.each([
    [['pause', 'deploy'], 64, '--reason: missing'],
    [['set-permits', 'deploy', '0', '--reason', 'x'], 64, 'permits:'],
    [['evict', 'deploy', 'zz', '--reason', 'x'], 66, "no member 'zz'"],
    [['evict', 'deploy', '', '--reason', 'x'], 64, 'fits 2 members'],
    [['history', 'bad name'], 64, 'queue:'],
  ])('%j is refused in one line, and nothing is done', async (words, code, line) => {
    expect(await signalbox(...words)).toBe(code)
    expect(stderr.text).toContain(line)
    expect(stderr.text.trim().split('\n')).toHaveLength(1)
    expect(api.acts).toEqual([])
  })

  test('history prints who held, how long and how it ended', async () => {
    const base = {
      ticket: 1,
      priority: 50,
      joinedAt: at(90_000),
      grantedAt: at(80_000),
      endedAt: at(20_000),
      heldMs: 60_000,
    }
    const note = { by: 'ann', at: at(30_000), reason: 'stuck' }
    api.past = { holds: [{ ...base, id: 'ab12cd34ef', fence: 7, as: 'evicted', labels, note }] }
    expect(await signalbox('history', 'deploy')).toBe(0)
    expect(stdout.text).toContain('evicted by ann: stuck')
    expect(stdout.text).toContain('1m')
  })

  test.each([
    [
      ['pause', 'deploy', '--reason', 'freeze'],
      ['setState', 'deploy', 'paused', { by: 'ann', reason: 'freeze' }],
    ],
    [
      ['drain', 'deploy', '--reason', 'move'],
      ['setState', 'deploy', 'draining', { by: 'ann', reason: 'move' }],
    ],
    [
      ['resume', 'deploy'],
      ['setState', 'deploy', 'open', { by: 'ann', reason: 'resume' }],
    ],
    [
      ['set-permits', 'deploy', '3', '--reason', 'more'],
      ['setPermits', 'deploy', 3, { by: 'ann', reason: 'more' }],
    ],
    [
      ['evict', 'deploy', 'ef56', '--reason', 'stuck'],
      ['evict', 'deploy', 'ef56ab78cd', { by: 'ann', reason: 'stuck', force: false }],
    ],
    [
      ['evict', 'deploy', 'ab12cd34ef', '--reason', 'now', '--force'],
      ['evict', 'deploy', 'ab12cd34ef', { by: 'ann', reason: 'now', force: true }],
    ],
  ])('%j does what it says', async (words, act) => {
    Object.assign(env, { GITHUB_ACTIONS: 'true', GITHUB_ACTOR: 'ann' })
    expect(await signalbox(...words)).toBe(0)
    expect(api.acts).toEqual([act])
    expect(stdout.text).toMatch(/^deploy: [^\n]+\n$/)
  })

  test('outside of a workflow it is the user of this machine who acts', () => {
    expect(actorName({})).toMatch(/^[^@]+@[^@]+$/)
  })
})

describe('where turns are taken', () => {
  test.each([
    ['list'],
    ['show', 'deploy'],
    ['pause', 'deploy', '--reason', 'why'],
    ['resume', 'deploy'],
    ['drain', 'deploy', '--reason', 'why'],
    ['evict', 'deploy', 'ab12cd34ef', '--reason', 'why'],
    ['set-permits', 'deploy', '2', '--reason', 'why'],
    ['history', 'deploy'],
    ['run', 'deploy'],
    ['doctor'],
  ])('%s takes the flags of the engines', async (...words) => {
    connectError = new SignalboxError('unavailable', 'away')
    const gcp = ['--backend', 'gcp', '--queue-table', 'q', '--gcp-project', 'p', '--gcp-database', 'base']
    const all = [...gcp, '--firestore-database', 'base', '--guard', 'off']
    const command = words[0] === 'run' ? ['--', 'make'] : []
    expect(await signalbox(...words, ...all, ...command)).toBe(69)
    expect(connections).toMatchObject([
      {
        backend: 'gcp',
        queueTable: 'q',
        gcpProject: 'p',
        gcpDatabase: 'base',
        firestoreDatabase: 'base',
        guard: 'off',
      },
    ])
  })
})

describe('labels', () => {
  test('in GitHub Actions say which run of which repository it is', () => {
    const labels = defaultLabels({
      GITHUB_ACTIONS: 'true',
      GITHUB_REPOSITORY: 'acme/web',
      GITHUB_RUN_ID: '4711',
      GITHUB_RUN_ATTEMPT: '2',
      GITHUB_JOB: 'deploy',
      GITHUB_ACTOR: 'ann',
      GITHUB_SERVER_URL: 'https://github.com',
    })
    expect(labels).toMatchObject({
      repository: 'acme/web',
      run: '4711',
      attempt: '2',
      job: 'deploy',
      actor: 'ann',
      url: 'https://github.com/acme/web/actions/runs/4711',
      pid: String(process.pid),
    })
    expect(labelName(labels)).toBe('acme/web deploy #4711')
  })

  test('elsewhere host, user and process', () => {
    const labels = defaultLabels({ GITHUB_REPOSITORY: 'acme/web' })
    expect(Object.keys(labels)).toEqual(['host', 'user', 'pid'])
  })

  test('name a member as well as they can', () => {
    expect(labelName({ user: 'ann', host: 'laptop' })).toBe('ann@laptop')
    expect(labelName({ host: 'laptop' })).toBe('laptop')
    expect(labelName({ name: 'release train', user: 'ann' })).toBe('release train')
    expect(labelName({})).toBeUndefined()
  })
})

describe('the waiting line', () => {
  test.each([
    [{}, 0, 'waiting, position 2 of the line'],
    [{ position: 137, positionExact: false }, 0, 'waiting, position about 137 of the line'],
    [{ estimatedWaitMs: 2_000 }, 1_500, 'waiting, position 2 of the line; any moment now'],
    [
      {
        holders: [
          { id: 'ab12cd34ef', fence: 1, sinceMs: 0, labels: { user: 'ann', host: 'laptop' } },
          { id: 'cd12cd34ef', fence: 2, sinceMs: 61_400 },
        ],
      },
      2_700,
      'waiting, position 2 of the line; held by ann@laptop (ab12cd34) for 2s, cd12cd34 for 1m 4s',
    ],
  ])('%o after %i ms', (facts, agoMs, text) => {
    expect(waitingLine(member(facts), agoMs)).toBe(text)
  })
})
