import { beforeEach, describe, expect, test } from 'vitest'
import type { ConnectOptions, Hello, Output, ServerFace } from '../../cli/context.ts'
import { memoryDatabase, type MemoryDatabase, type MemoryStore } from '../../drivers/memory/index.ts'
import { SignalboxError } from '../../kernel/error.ts'
import { seededRandom } from '../../kernel/id.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import { decimalKey, type Change, type Key, type Store } from '../../ports/store.ts'
import { ScriptedTurns } from '../testing/scripted-turns.ts'
import { doctor, type DoctorFlags, type DoctorSetting } from './doctor.ts'
import type { EndSignal } from '../../supervisor/signals.ts'

class Text implements Output {
  text = ''
  write(text: string): void {
    this.text += text
  }
}

let clock: ManualClock
let database: MemoryDatabase
let written: Key[]
let memory: MemoryStore
/** What the doctor sees of it. */
let store: Store
let stdout: Text
let closed: number
let send: (name: EndSignal) => void
let listening: boolean
let connectError: SignalboxError | undefined

beforeEach(() => {
  clock = new ManualClock()
  database = memoryDatabase({ limits: { keys: 'decimal' } })
  written = []
  memory = database.connect({ clock, onCommit: (changes) => written.push(...changes.map(({ key }) => key)) })
  store = memory
  stdout = new Text()
  closed = 0
  connectError = undefined
})

interface Diagnosis {
  readonly code: number
  /** `put` → `ok`. */
  readonly found: Readonly<Record<string, string>>
  readonly said: Readonly<Record<string, string>>
}

function setting(server?: ServerFace & { readonly turns: ScriptedTurns }): DoctorSetting {
  return {
    connect: async (options: ConnectOptions) => {
      if (connectError !== undefined) throw connectError
      const settings = [{ name: 'backend', value: options.backend ?? 'server', from: '--backend' }]
      const close = async (): Promise<void> => void closed++
      if (server !== undefined) {
        return { turns: server.turns, server, describe: 'http://box', settings, close }
      }
      return {
        turns: new ScriptedTurns(clock),
        store,
        describe: 'DynamoDB table t (eu-west-1)',
        settings,
        close,
      }
    },
    stdout,
    stderr: new Text(),
    env: {},
    clock,
    random: seededRandom(1),
    setExitCode: () => undefined,
    listen: (take) => {
      send = take
      listening = true
      return () => (listening = false)
    },
  }
}

function diagnosis(code: number): Diagnosis {
  const { checks } = JSON.parse(stdout.text) as {
    checks: { check: string; status: string; message: string }[]
  }
  return {
    code,
    found: Object.fromEntries(checks.map(({ check, status }) => [check, status])),
    said: Object.fromEntries(checks.map(({ check, message }) => [check, message])),
  }
}

/** Runs it to its end, in JSON. */
async function examine(flags: DoctorFlags = {}, where = setting()): Promise<Diagnosis> {
  const code = await doctor({ backend: 'aws', json: true, ...flags }, where)
  expect([listening, closed]).toEqual([false, connectError === undefined ? 1 : 0])
  return diagnosis(code)
}

/** What is left of all that was ever written. */
async function left(): Promise<unknown[]> {
  const found = await Promise.all(written.map((key) => memory.get(key)))
  return found.filter((record) => record !== undefined)
}

type Right = 'GetItem' | 'Query' | 'PutItem' | 'DeleteItem' | 'ConditionCheckItem'

/** As an engine whose policy lacks these rights. */
function without(...rights: Right[]): Store {
  const refuse = (right: Right): void => {
    if (rights.includes(right))
      throw new SignalboxError('permission_denied', `may not perform ${right}; allow it`)
  }
  const needed = { put: 'PutItem', delete: 'DeleteItem', check: 'ConditionCheckItem' } as const
  return new Proxy<Store>(memory, {
    get(target, name) {
      if (name === 'get') return async (key: Key) => (refuse('GetItem'), target.get(key))
      if (name === 'list')
        return async (...call: Parameters<Store['list']>) => (refuse('Query'), target.list(...call))
      if (name === 'commit') {
        return async (changes: readonly Change[]) => {
          for (const { op } of changes) refuse(needed[op])
          return target.commit(changes)
        }
      }
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

const HEALTHY = {
  configuration: 'ok',
  credentials: 'ok',
  table: 'ok',
  put: 'ok',
  get: 'ok',
  list: 'ok',
  version: 'ok',
  check: 'ok',
  watch: 'ok',
  delete: 'ok',
  clock: 'ok',
  latency: 'ok',
  guard: 'skip',
}

describe('an engine', () => {
  test('that works has every check pass, in order, and nothing is left in it', async () => {
    const { code, found } = await examine()
    expect([code, Object.entries(found)]).toEqual([0, Object.entries(HEALTHY)])
    expect(written.length).toBeGreaterThan(5)
    expect(new Set(written.map(([partition]) => partition)).size).toBe(1)
    expect(written[0]?.[0]).toMatch(/^signalbox:doctor:[0-9a-z]{20}$/)
    expect(await left()).toEqual([])
    expect(clock.pendingTimers).toBe(0)
  })

  test('is told of in lines, each with what it checked', async () => {
    expect(await doctor({ backend: 'aws' }, setting())).toBe(0)
    const lines = stdout.text.split('\n')
    expect(lines[0]).toBe('ok    configuration  backend aws (--backend)')
    expect(lines).toContain('ok    put            a record that must be absent (dynamodb:PutItem)')
    expect(lines.at(-2)).toBe('Turns can be taken here')
  })

  test('that cannot be reached has what needs it on one line', async () => {
    connectError = new SignalboxError('unavailable', 'cannot be reached')
    expect(await doctor({ backend: 'aws' }, setting())).toBe(69)
    expect(stdout.text.split('\n').slice(1)).toEqual([
      'skip  credentials    not known: the engine gave no answer that would tell',
      'fail  table          cannot be reached',
      'skip  put, get, list, version, check, delete, clock, latency, guard  not looked at: needs table',
      '1 failure',
      '',
    ])
  })

  test('without watch has no check of it', async () => {
    store = new Proxy(without(), {
      get: (target, name) => (name === 'watch' ? undefined : Reflect.get(target, name)),
    })
    const { code, found } = await examine()
    expect([code, found['watch'], found['delete']]).toEqual([0, undefined, 'ok'])
  })

  test.each<[Right, Readonly<Record<string, string>>]>([
    ['PutItem', { put: 'fail', version: 'skip', check: 'skip', watch: 'skip', latency: 'skip' }],
    ['GetItem', { get: 'fail', latency: 'skip' }],
    ['Query', { list: 'fail' }],
    ['ConditionCheckItem', { check: 'fail' }],
    ['DeleteItem', { delete: 'fail', cleanup: 'warn' }],
  ])('without the right to %s fails at that, and says so once', async (right, differs) => {
    store = without(right)
    const { code, found, said } = await examine()
    expect([code, found]).toEqual([77, { ...HEALTHY, ...differs }])
    const telling = Object.entries(said).filter(([, message]) => message.includes(`may not perform ${right}`))
    expect(telling.map(([check]) => found[check])).toEqual(['fail'])
    if (right === 'DeleteItem') expect(said['cleanup']).toContain(written[0]?.[0])
    else expect(await left()).toEqual([])
  })

  test('that allows no reading at all fails at the table, and what needs it is skipped', async () => {
    store = without('GetItem', 'Query')
    const { code, found, said } = await examine()
    expect([code, found['credentials'], found['get'], found['list']]).toEqual([77, 'ok', 'fail', 'fail'])
    expect(found['table']).toBe('skip')
    expect(said['table']).toMatch(/reading is not allowed/)
    expect(await left()).toEqual([])
  })

  test.each<[SignalboxError['code'], number, string, string]>([
    ['unauthenticated', 77, 'fail', 'skip'],
    ['not_found', 66, 'ok', 'fail'],
    ['config_invalid', 78, 'skip', 'fail'],
    ['unavailable', 69, 'skip', 'fail'],
  ])('whose first answer is %s ends with %i', async (code, exit, credentials, table) => {
    const refuse = async (): Promise<never> => {
      throw new SignalboxError(code, 'the reason; the remedy')
    }
    store = new Proxy(memory, {
      get: (target, name) => (name === 'get' ? refuse : Reflect.get(target, name)),
    })
    const { code: exitCode, found } = await examine()
    expect([exitCode, found]).toEqual([
      exit,
      {
        ...Object.fromEntries(Object.keys(HEALTHY).map((check) => [check, 'skip'])),
        watch: undefined,
        configuration: 'ok',
        credentials,
        table,
      },
    ])
    expect(written).toEqual([])
  })

  test.each<[string, string]>([
    ['takes a write on condition of a version that has gone', 'version'],
    ['takes a write whose check does not hold', 'check'],
  ])('that %s fails at %s', async (_, check) => {
    let last: Change | undefined
    store = new Proxy(without(), {
      get(target, name) {
        if (name !== 'commit') return Reflect.get(target, name) as unknown
        return async (changes: readonly Change[]) => {
          const result = await target.commit(changes)
          last = changes[0]
          const wrong =
            (last?.op === 'check' ? 'check' : 'version') === check &&
            changes.every((c) => c.expect !== 'absent')
          return result.ok || !wrong ? result : { ok: true, versions: [undefined, 'made-up'] }
        }
      },
    })
    const { code, found, said } = await examine()
    expect([code, found[check]]).toEqual([74, 'fail'])
    expect(said[check]).toMatch(/turns are not safe on it/)
    expect(await left()).toEqual([])
  })

  test('that reads what was there before fails', async () => {
    store = new Proxy(without(), {
      get: (target, name) =>
        name === 'get' ? async () => undefined : (Reflect.get(target, name) as unknown),
    })
    const { code, found } = await examine()
    expect([code, found['get'], found['list']]).toEqual([74, 'fail', 'ok'])
  })

  test('whose hints do not come fails at watch, after ten seconds', async () => {
    memory.faults.plan = { hintDelayed: 1, hintDelayMs: [60_000, 60_000] }
    const examined = examine()
    await clock.advance(9_000)
    expect(stdout.text).toBe('')
    await clock.advance(1_000)
    const { code, found, said } = await examined
    expect([code, found['watch'], found['delete']]).toEqual([69, 'fail', 'ok'])
    expect(said['watch']).toMatch(/no change within 10s; is something between/)
  })

  test('that is slow is warned of', async () => {
    memory.faults.plan = { delayBeforeMs: [1_500, 1_500] }
    const examined = examine()
    await clock.advance(120_000)
    const { code, found, said } = await examined
    expect([code, found['latency']]).toEqual([0, 'warn'])
    expect(said['latency']).toMatch(/^read 2s, write 2s \(median\): .*nearer by$/)
    memory.faults.plan = {}
    expect(await left()).toEqual([])
  })

  test.each<[number, number, string, RegExp]>([
    [0, 500, 'ok', /within 1s of the engine's$/],
    [-29_000, 500, 'ok', /within 30s/],
    [-31_000, 0, 'warn', /^this machine's is 31s ahead of the engine's; set it/],
    [31_000, 0, 'warn', /31s behind the engine's/],
    [-360_000, 0, 'warn', /6m ahead .*AWS refuses what is signed so far off, which Signalbox corrects/],
    [0, Number.MAX_SAFE_INTEGER, 'skip', /has not told its time/],
  ])('whose clock is off by %i ± %i: %s', async (offset, uncertainty, status, message) => {
    memory.faults.clockOffsetMs = offset
    memory.faults.clockUncertaintyMs = uncertainty
    const { code, found, said } = await examine()
    expect([code, found['clock']]).toEqual([0, status])
    expect(said['clock']).toMatch(message)
  })

  test('is left clean when Ctrl-C ends it half-way', async () => {
    const hold = memory.faults.hold('commit', 'after')
    const where = setting()
    const examined = doctor({ backend: 'aws' }, where)
    await hold.reached
    send('SIGINT')
    hold.release()
    expect(await examined).toBe(130)
    expect(written).not.toEqual([])
    expect(await left()).toEqual([])
    expect([closed, listening]).toEqual([1, false])
    expect(stdout.text).not.toContain('Turns can be taken')
  })

  test('is left clean when answers are lost on the way', async () => {
    memory.faults.next('commit', 'lostAfter', 'none', 'none', 'none', 'lostBefore')
    const { code, found } = await examine()
    expect([code, found['put']]).toEqual([75, 'fail'])
    expect(await left()).toEqual([])
  })
})

describe('beside the dynamo-q tool', () => {
  const entry = (lastUpdated: number, key = 1_700_000_000): Promise<unknown> =>
    memory.commit([
      {
        op: 'put',
        key: ['deploy', decimalKey(key)],
        expect: 'absent',
        value: { clientId: 'c', lastUpdated },
      },
    ])
  const now = (): number => Math.floor(clock.now() / 1_000)

  test('a queue without entries of it is fine, and the guard may go', async () => {
    const { found, said } = await examine({ queue: 'deploy' })
    expect([found['guard'], said['guard']]).toEqual([
      'ok',
      expect.stringMatching(/has no entry .*--guard off saves 5s/),
    ])
    stdout.text = ''
    closed = 0
    expect((await examine({ queue: 'deploy', guard: 'off' })).said['guard']).toBe(
      "off; queue 'deploy' has no entry of the dynamo-q tool",
    )
  })

  test('living entries are waited for with the guard, and fail without it', async () => {
    await entry(now() - 20)
    await entry(now() - 9_000, 5)
    const guarded = await examine({ queue: 'deploy' })
    expect([guarded.code, guarded.found['guard']]).toEqual([0, 'ok'])
    expect(guarded.said['guard']).toMatch(/^on; queue 'deploy' has 2 entries of the dynamo-q tool, 1 alive: /)
    stdout.text = ''
    closed = 0
    const bare = await examine({ queue: 'deploy', guard: 'off' })
    expect([bare.code, bare.found['guard'], bare.said['guard']]).toEqual([
      65,
      'fail',
      expect.stringMatching(/--guard on/),
    ])
  })

  test('dead entries without the guard are warned of', async () => {
    await entry(now() - 9_000)
    expect(await examine({ queue: 'deploy', guard: 'off' })).toMatchObject({
      code: 0,
      found: { guard: 'warn' },
    })
  })

  test('our own guard is no entry of it', async () => {
    const value = { kind: 'signalbox-guard', placement: 'p', verified: true, fence: 1, by: 'm', until: 0 }
    await memory.commit([{ op: 'put', key: ['deploy', decimalKey(1)], expect: 'absent', value }])
    expect((await examine({ queue: 'deploy' })).said['guard']).toMatch(/has no entry/)
  })
})

describe('what cannot be opened', () => {
  test('a flag that cannot work fails the configuration', async () => {
    const { code, found, said } = diagnosis(
      await doctor({ backend: 'aws', queueTable: '!', json: true }, setting()),
    )
    expect([code, found]).toEqual([64, { configuration: 'fail', others: 'skip' }])
    expect(said['configuration']).toMatch(/^--queue-table: '!'/)
  })

  test.each<[SignalboxError['code'], string, string, string]>([
    ['config_invalid', 'fail', 'skip', 'skip'],
    ['unauthenticated', 'ok', 'fail', 'skip'],
    ['permission_denied', 'ok', 'ok', 'fail'],
    ['not_found', 'ok', 'ok', 'fail'],
    ['unavailable', 'ok', 'skip', 'fail'],
  ])('%s: configuration %s, credentials %s, table %s', async (code, configuration, credentials, table) => {
    connectError = new SignalboxError(code, 'the reason')
    const { found } = await examine()
    expect(found).toMatchObject({ configuration, credentials, table, put: 'skip', guard: 'skip' })
  })

  test('a server that does not run fails at reaching it', async () => {
    connectError = new SignalboxError('unavailable', 'no server is running')
    const { code, found } = await examine({ backend: 'server' })
    expect([code, found['reachable'], found['token']]).toEqual([69, 'fail', 'skip'])
  })
})

describe('a server', () => {
  let turns: ScriptedTurns
  let role: 'admin' | 'operator' | 'viewer'
  let scope: string | undefined
  let greeting: Hello

  beforeEach(() => {
    turns = new ScriptedTurns(clock)
    role = 'operator'
    scope = undefined
    greeting = { version: '1.2.3', ownVersion: '1.2.3', now: clock.now() }
    turns.list = async () => ({ queues: [] })
    turns.on('beat', async () => {
      const viewer = { neededRole: 'operator' }
      if (role === 'viewer')
        throw new SignalboxError('permission_denied', 'has the role viewer', { details: viewer })
      if (scope !== undefined && scope !== turns.calls.at(-1)?.queue) {
        throw new SignalboxError('permission_denied', 'has no scope', { details: { neededScope: 'turns:x' } })
      }
      throw new SignalboxError('not_found', 'there is no such queue')
    })
  })

  function face(): ServerFace & { turns: ScriptedTurns } {
    return {
      turns,
      hello: async () => greeting,
      access: {
        listTokens: async () => {
          if (role !== 'admin') throw new SignalboxError('permission_denied', 'needs the role admin')
          return { tokens: [] }
        },
      },
    }
  }
  const ask = (flags: DoctorFlags = {}): Promise<Diagnosis> =>
    examine({ backend: 'server', ...flags }, setting(face()))

  test('that works has every check pass', async () => {
    const { code, found, said } = await ask()
    expect([code, Object.entries(found)]).toEqual([
      0,
      ['configuration', 'reachable', 'version', 'token', 'role', 'clock', 'latency'].map((check) => [
        check,
        'ok',
      ]),
    ])
    expect([said['version'], said['role']]).toEqual(['1.2.3', 'operator: may take turns'])
  })

  test('of another version is warned of', async () => {
    greeting = { ...greeting, version: '2.0.0' }
    expect(await ask()).toMatchObject({ code: 0, found: { version: 'warn' } })
  })

  test('whose clock is off is warned of', async () => {
    greeting = { ...greeting, now: clock.now() + 60_000 }
    const { found, said } = await ask()
    expect([found['clock'], said['clock']]).toEqual([
      'warn',
      expect.stringMatching(/1m( \ds)? behind the server's/),
    ])
  })

  test('that refuses the token fails there', async () => {
    turns.list = async () => {
      throw new SignalboxError('unauthenticated', 'the token is unknown here')
    }
    const { code, found } = await ask()
    expect([code, found]).toMatchObject([77, { token: 'fail', role: 'skip', latency: 'skip', clock: 'ok' }])
  })

  test('tells an admin, and a viewer who may not take turns', async () => {
    role = 'admin'
    expect((await ask()).said['role']).toBe('admin: may take turns')
    stdout.text = ''
    closed = 0
    role = 'viewer'
    expect(await ask()).toMatchObject({ code: 77, found: { role: 'fail' } })
  })

  test('checks the scope of the token for a queue that is named', async () => {
    scope = 'deploy'
    expect((await ask({ queue: 'deploy' })).said['role']).toBe("operator: may take turns in 'deploy'")
    for (const [queue, status] of [
      ['other', 'fail'],
      [undefined, 'ok'],
    ] as const) {
      stdout.text = ''
      closed = 0
      expect((await ask(queue === undefined ? {} : { queue })).found['role']).toBe(status)
    }
  })
})
