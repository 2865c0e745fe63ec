import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { SignalboxError } from '../kernel/error.ts'
import { configKeys } from '../server/config/keys.ts'
import { shown } from './config.ts'
import { printError, table } from './output.ts'
import { run } from './program.ts'
import { typedCommand } from './serve.ts'
import type { Terminal } from './terminal.ts'

interface Ran {
  readonly exit: number
  readonly stdout: string
  readonly stderr: string
}

async function signalbox(
  line: string,
  options: { readonly file?: string; readonly env?: Terminal['env'] } = {},
): Promise<Ran> {
  const cwd = mkdtempSync(join(tmpdir(), 'signalbox-cli-'))
  onTestFinished(() => rmSync(cwd, { recursive: true }))
  if (options.file !== undefined) writeFileSync(join(cwd, 'signalbox.yaml'), options.file)
  const printed = { stdout: '', stderr: '' }
  const exit = await run({
    argv: line.split(' ').filter((word) => word !== ''),
    env: options.env ?? {},
    cwd,
    stdout: { write: (text) => (printed.stdout += text) },
    stderr: { write: (text) => (printed.stderr += text) },
  })
  return { exit, ...printed }
}

describe('signalbox', () => {
  it('says its version and how to use it', async () => {
    expect(await signalbox('--version')).toEqual({
      exit: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
      stderr: '',
    })
    const { exit, stdout } = await signalbox('--help')
    expect(exit).toBe(0)
    for (const name of ['serve', 'turn', 'token', 'audit', 'config']) expect(stdout).toContain(`\n  ${name} `)
    expect((await signalbox('help serve')).stdout).toContain('--data-dir <path>')
    expect((await signalbox('turn --help')).stdout).toContain('run')
  })

  it('shows its help as an error when no command is named', async () => {
    expect(await signalbox('')).toMatchObject({
      exit: 64,
      stdout: '',
      stderr: expect.stringContaining('Usage: signalbox'),
    })
  })

  it.each([
    ['serv', "unknown command 'serv' (Did you mean serve?); see 'signalbox --help'"],
    ['--prot 1', "unknown option '--prot'; see 'signalbox --help'"],
    ['serve --prot 1', "unknown option '--prot' (Did you mean --port?); see 'signalbox serve --help'"],
    ['serve --port', "option '--port <port>' argument missing; see 'signalbox serve --help'"],
    [
      'serve now',
      "too many arguments for 'serve'. Expected 0 arguments but got 1: now; see 'signalbox serve --help'",
    ],
    ['config chek', "unknown command 'chek' (Did you mean check?); see 'signalbox config --help'"],
  ])('%s: one line and exit 64', async (line, message) => {
    expect(await signalbox(line)).toEqual({ exit: 64, stdout: '', stderr: `signalbox: ${message}\n` })
  })

  it('prints errors as JSON when asked to, but not because of what follows --', async () => {
    const { stderr } = await signalbox('config chek --json')
    expect(JSON.parse(stderr)).toEqual({
      error: { code: 'invalid_argument', message: expect.stringContaining("unknown command 'chek'") },
    })
    expect((await signalbox('config chek -- --json')).stderr).toMatch(/^signalbox: /)
  })
})

describe('signalbox serve', () => {
  it('has a flag for each key that names one', async () => {
    const { stdout } = await signalbox('serve --help')
    for (const { flag } of configKeys) if (flag !== undefined) expect(stdout).toContain(flag)
  })

  it('refuses a configuration that cannot work, all problems at once, before it does anything', async () => {
    expect(await signalbox('serve --port abc', { file: 'log: { level: loud }' })).toEqual({
      exit: 78,
      stdout: '',
      stderr: [
        "signalbox: signalbox.yaml:1: log.level: 'loud' is not a log level; write one of trace, debug, info, warn, error, fatal, silent",
        "signalbox: --port: server.port: 'abc' is not a port; write a number from 0 to 65535",
        '',
      ].join('\n'),
    })
  })

  it.each([
    [['serve'], {}, 'signalbox serve'],
    [['serve', '--port', '80', '--data-dir', 'a b'], {}, "signalbox serve --data-dir 'a b'"],
    [['serve', '--port=80', '--insecure'], { npm_command: 'exec' }, 'npx signalbox serve --insecure'],
    [
      ['serve', '--host', '::1'],
      { npm_command: 'run-script', npm_lifecycle_event: 'start' },
      'npm start -- --host ::1',
    ],
  ])('%j can be typed again with another port', (argv, env, typed) => {
    expect(typedCommand(argv, env)).toBe(typed)
  })
})

describe('signalbox config', () => {
  it('check says that all is well, or what is not', async () => {
    expect(await signalbox('config check')).toEqual({
      exit: 0,
      stdout: 'The configuration works (no file, only environment and defaults).\n',
      stderr: '',
    })
    expect((await signalbox('config check', { file: 'dataDir: /srv' })).stdout).toContain('(signalbox.yaml)')
    expect(await signalbox('config check', { file: 'data: /srv' })).toMatchObject({
      exit: 78,
      stderr: expect.stringMatching(/^signalbox: signalbox\.yaml:1: data: unknown key/),
    })
    expect((await signalbox('config check --config no.yaml')).exit).toBe(78)
  })

  it('print shows each value and where it came from', async () => {
    const env = { SIGNALBOX_LOG_LEVEL: 'warn', SIGNALBOX_LOGLEVEL: 'x' }
    const { stdout, stderr } = await signalbox('config print', { file: 'server:\n  port: 9000\n', env })
    expect(stdout).toMatch(/^KEY +VALUE +FROM\ndataDir +\.\/data +default\n/)
    expect(stdout).toMatch(/\nserver\.port +9000 +signalbox\.yaml:2\n/)
    expect(stdout).toMatch(/\nlog\.level +warn +SIGNALBOX_LOG_LEVEL\n/)
    expect(stderr).toBe(
      'signalbox: warning: SIGNALBOX_LOGLEVEL: no configuration key has this variable; it changes nothing\n',
    )
  })

  it('print --json is for programs', async () => {
    const { stdout } = await signalbox('config print --json', { file: 'server: { port: 9000 }' })
    const printed = JSON.parse(stdout) as { file: string; values: unknown[] }
    expect(printed.file).toBe('signalbox.yaml')
    expect(printed.values).toContainEqual({ key: 'server.port', value: 9000, from: 'signalbox.yaml:1' })
    expect(printed.values).toContainEqual({ key: 'server.publicUrl', value: null, from: 'default' })
  })

  it('masks secrets, but not that they are missing', () => {
    const key = { ...configKeys[0]!, path: 'auth.secret', secret: true }
    expect(shown({ key, value: 'hunter2', where: 'AUTH' })).toEqual({
      key: 'auth.secret',
      value: '********',
      from: 'AUTH',
    })
    expect(shown({ key, value: undefined, where: 'default' }).value).toBeNull()
  })
})

describe('output', () => {
  const printed = (error: unknown, json = false): [number, string] => {
    let text = ''
    const exit = printError(error, { stderr: { write: (part) => (text += part) } }, { json })
    return [exit, text]
  }

  it('says an error in a line for each of its problems, and ends with its exit code', () => {
    expect(printed(new SignalboxError('store_owned', 'it is owned'))).toEqual([
      73,
      'signalbox: it is owned\n',
    ])
    expect(printed(new SignalboxError('config_invalid', 'a: bad\nb: bad\n'))).toEqual([
      78,
      'signalbox: a: bad\nsignalbox: b: bad\n',
    ])
  })

  it('says of a defect that it is one, without a stack', () => {
    expect(printed(new TypeError('x is undefined'))).toEqual([
      70,
      'signalbox: internal error: x is undefined; this is a defect, please report it\n',
    ])
  })

  it('has a JSON form with code and details', () => {
    const error = new SignalboxError('conflict', 'differs', { details: { permits: 2 } })
    expect(printed(error, true)).toEqual([
      65,
      '{"error":{"code":"conflict","message":"differs","details":{"permits":2}}}\n',
    ])
  })

  it('aligns columns', () => {
    expect(
      table([
        ['A', 'LONG', 'C'],
        ['xxx', '1', ''],
      ]),
    ).toBe('A    LONG  C\nxxx  1\n')
    expect(table([])).toBe('')
  })
})
