import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { markOf } from './processes.ts'
import {
  agentsFolder,
  checkFolder,
  clean,
  forget,
  lives,
  logPath,
  publish,
  readAgent,
  readAgents,
  reserve,
} from './state-files.ts'
import type { AgentState } from './state.ts'

let base: string
let folder: string
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'signalbox-state-'))
  folder = join(base, 'signalbox-agents')
})
afterEach(() => rmSync(base, { recursive: true, force: true }))

const now = Date.UTC(2026, 10, 1)
/** No process has it: Linux gives ids up to 2^22. */
const NOBODY = 2 ** 30

function state(facts: Partial<AgentState> = {}): AgentState {
  const id = facts.id ?? 'one'
  return {
    id,
    queue: 'deploy',
    pid: process.pid,
    born: markOf(process.pid)?.born,
    address: '127.0.0.1:50051',
    state: 'waiting' as const,
    ttlMs: 6_000,
    startedAt: new Date(now).toISOString(),
    log: logPath(folder, id),
    ...facts,
  }
}

const mode = (path: string): number => statSync(path).mode & 0o777

describe('the folder', () => {
  test('lies under RUNNER_TEMP, else XDG_RUNTIME_DIR, else under a name of the user’s own', () => {
    expect(agentsFolder({ RUNNER_TEMP: '/r', XDG_RUNTIME_DIR: '/x' })).toBe('/r/signalbox-agents')
    expect(agentsFolder({ RUNNER_TEMP: '', XDG_RUNTIME_DIR: '/x' })).toBe('/x/signalbox-agents')
    expect(agentsFolder({})).toMatch(/signalbox-agents(-\d+)?$/)
  })

  test('is made for its owner alone, whatever the umask', () => {
    const umask = process.umask(0)
    try {
      expect(checkFolder(folder, { create: true })).toBe(true)
    } finally {
      process.umask(umask)
    }
    expect(mode(folder)).toBe(0o700)
  })

  test('is refused when others may enter it, and when it is a link or a file', () => {
    mkdirSync(folder)
    chmodSync(folder, 0o750)
    expect(() => checkFolder(folder, { create: true })).toThrow(/mode 0700/)
    expect(() => readAgents(folder)).toThrow(/mode 0700/)
    rmSync(folder, { recursive: true })
    mkdirSync(join(base, 'elsewhere'), { mode: 0o700 })
    symlinkSync(join(base, 'elsewhere'), folder)
    expect(() => checkFolder(folder, { create: true })).toThrow(/directory of your own/)
    rmSync(folder)
    writeFileSync(folder, '')
    expect(() => checkFolder(folder, { create: true })).toThrow(/EEXIST|directory of your own/)
  })

  test('that is not there has no agents', () => {
    expect(readAgents(folder)).toEqual([])
    expect(clean(folder, now)).toEqual([])
  })
})

describe('a state file', () => {
  test('is read as it was written, for its owner alone, and replaced as a whole', () => {
    reserve(folder, state())
    expect(mode(join(folder, 'one.json'))).toBe(0o600)
    publish(folder, state({ state: 'holding', fence: 3 }))
    expect(readAgent(folder, 'one')).toMatchObject({ state: 'holding', fence: 3 })
    expect(mode(join(folder, 'one.json'))).toBe(0o600)
    expect(readdirSync(folder)).toEqual(['one.json'])
    forget(folder, 'one', { log: true })
    expect(readAgent(folder, 'one')).toBeUndefined()
  })

  test('belongs to one agent: an id that is taken is refused', () => {
    reserve(folder, state())
    expect(() => reserve(folder, state({ queue: 'other' }))).toThrow(/one: exists already/)
    expect(readAgent(folder, 'one')?.queue).toBe('deploy')
  })

  test('that is half written, damaged or of another program is nobody’s', () => {
    checkFolder(folder, { create: true })
    writeFileSync(join(folder, 'half.json'), '{"id":"ha')
    writeFileSync(join(folder, 'other.json'), '{"name":"x"}')
    expect(readAgents(folder)).toEqual([])
  })
})

describe('cleaning', () => {
  test('removes an agent whose process is gone, and tells; the living stay', () => {
    reserve(folder, state())
    reserve(folder, state({ id: 'two', pid: NOBODY, born: undefined }))
    expect(clean(folder, now).map(({ id }) => id)).toEqual(['two'])
    expect(readAgents(folder).map(({ id }) => id)).toEqual(['one'])
    expect(clean(folder, now)).toEqual([])
  })

  test.runIf(process.platform === 'linux')('does not take another process with the same id for it', () => {
    const reused = state({ born: 'an earlier boot/17' })
    expect(lives(reused)).toBe(false)
    expect(lives(state())).toBe(true)
    reserve(folder, reused)
    expect(clean(folder, now)).toHaveLength(1)
  })

  test('keeps the end that nobody asked about, and the log beside it, for a day', () => {
    const end = { why: 'lost', place: 'gone', message: 'deploy: the turn was lost' } as const
    reserve(folder, state({ state: 'ended', pid: NOBODY, end }))
    writeFileSync(logPath(folder, 'one'), 'why')
    const written = new Date(now)
    for (const name of ['one.json', 'one.log']) utimesSync(join(folder, name), written, written)
    expect(clean(folder, now + 86_400_000)).toEqual([])
    expect(readAgent(folder, 'one')?.end).toEqual(end)
    clean(folder, now + 86_400_001)
    expect(readdirSync(folder)).toEqual([])
  })

  test('keeps the log of an agent that lives, however old', () => {
    reserve(folder, state())
    writeFileSync(logPath(folder, 'one'), 'long ago')
    utimesSync(logPath(folder, 'one'), new Date(0), new Date(0))
    clean(folder, now)
    expect(existsSync(logPath(folder, 'one'))).toBe(true)
  })
})
