import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished } from 'vitest'

/** `signalbox …` as a process of its own. */
class Running {
  readonly process: ChildProcess
  /** Lines of the log so far. */
  readonly lines: Record<string, string>[] = []
  readonly exit: Promise<number | string>
  stderr = ''
  #wake = (): void => undefined

  constructor(node: readonly string[]) {
    this.process = spawn(process.execPath, node, {
      env: {},
      cwd: tmpdir(),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.process.stderr?.on('data', (chunk) => (this.stderr += String(chunk)))
    createInterface({ input: this.process.stdout! }).on('line', (line) => {
      this.lines.push(JSON.parse(line) as Record<string, string>)
      this.#wake()
    })
    this.exit = new Promise((resolve) => {
      this.process.on('close', (code, signal) => {
        resolve(signal ?? code ?? -1)
        this.#wake()
      })
    })
    onTestFinished(() => void this.process.kill('SIGKILL'))
  }

  /** The first log line whose message has this text. */
  async line(part: string): Promise<Record<string, string>> {
    for (;;) {
      const found = this.lines.find((line) => line['msg']?.includes(part))
      if (found !== undefined) return found
      if (this.process.exitCode !== null) throw new Error(`ended without '${part}': ${this.stderr}`)
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}

const main = new URL('main.ts', import.meta.url).pathname
const serve = (dataDir: string): Running =>
  new Running([main, 'serve', '--port', '0', '--data-dir', dataDir, '--log-format', 'json'])

function newDataDir(): string {
  const parent = mkdtempSync(join(tmpdir(), 'signalbox-process-'))
  onTestFinished(() => rmSync(parent, { recursive: true, force: true }))
  return join(parent, 'data')
}

describe('signalbox serve, as a process', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('%s stops it in order, exit 0', async (signal) => {
    const dataDir = newDataDir()
    const server = serve(dataDir)
    await server.line('is ready')
    server.process.kill(signal)
    expect(await server.exit).toBe(0)
    expect(server.lines.map((line) => line['msg']).slice(1)).toEqual(['stopping', 'stopped'])
    expect(server.stderr).toBe('')
    expect(readdirSync(dataDir)).toEqual(['signalbox.db'])
  })

  it('a second signal ends it at once, though a call is in flight', async () => {
    const server = serve(newDataDir())
    const { url = '' } = await server.line('is ready')
    const peer = connect(Number(new URL(url).port), '127.0.0.1')
    peer.on('error', () => undefined)
    peer.write(
      'POST /api/v1/turns/a/members HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n',
    )
    await new Promise((resolve) => peer.once('data', resolve))
    server.process.kill('SIGTERM')
    await server.line('stopping')
    server.process.kill('SIGTERM')
    expect(await server.exit).toBe(143)
    peer.destroy()
  })

  it('a second server on the same directory is refused in one line that says where the first is', async () => {
    const dataDir = newDataDir()
    const { url } = await (async () => {
      const first = serve(dataDir)
      return first.line('is ready')
    })()
    const second = serve(dataDir)
    expect(await second.exit).toBe(73)
    expect(second.stderr).toMatch(/^signalbox: [^\n]* is owned by process \d+ [^\n]*\n$/)
    expect(second.stderr).toContain(`SIGNALBOX_URL=${url}`)
    expect(second.lines).toEqual([])
  })
})

describe('an error that nobody caught', () => {
  const crashing = (how: string): Running =>
    new Running([
      '--input-type=module',
      '--eval',
      `import { catchCrashes, onCrash } from ${JSON.stringify(new URL('crash.ts', import.meta.url).href)}
       catchCrashes({ argv: [], env: {}, cwd: '', stdout: process.stdout, stderr: process.stderr })
       ${how}`,
    ])

  it('ends a command with one line and exit 70', async () => {
    const command = crashing(`setImmediate(() => { throw new Error('odd') })`)
    expect(await command.exit).toBe(70)
    expect(command.stderr).toMatch(/^signalbox: internal error: odd[^\n]*\n$/)
  })

  it('ends a server with one line in its log and exit 70, also when it was a rejection', async () => {
    const server = crashing(
      `onCrash((error) => console.log(JSON.stringify({ msg: error.message }))); Promise.reject(new Error('odd'))`,
    )
    expect(await server.exit).toBe(70)
    expect([server.lines, server.stderr]).toEqual([[{ msg: 'odd' }], ''])
  })
})

describe('completion', () => {
  it('prints a script for a shell, and what may follow', () => {
    const complete = (...words: string[]): ReturnType<typeof spawnSync> =>
      spawnSync(process.execPath, [main, 'complete', ...words], { encoding: 'utf8' })
    expect(complete('bash').stdout).toContain('complete -F')
    expect(complete('--', 'turn', 'ev').stdout).toContain('evict')
    const wrong = complete('nonsense')
    expect(wrong.status).toBe(64)
    expect(wrong.stderr).toMatch(/^signalbox: [^\n]*nonsense[^\n]*\n$/)
  })
})
