/**
 * Real processes for the race tests: the CLI and the server of this checkout, started on free ports in folders of their
 * own, and stopped by whoever started them.
 */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

export const root = resolve(import.meta.dirname, '../..')
export const cli = join(root, 'tools/node/signalbox.mjs')

const children = new Set<ChildProcess>()
const folders = new Set<string>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** Kills what a failed test has left running: for `afterAll` of files whose tests start many. */
export function endProcesses(): void {
  for (const child of children) child.kill('SIGKILL')
}

export interface Running {
  readonly child: ChildProcess
  readonly pid: number
  /** All it wrote so far. */
  readonly out: () => string
  readonly err: () => string
  /** Its exit: the code, or the name of the signal. */
  readonly exited: Promise<number | string>
  kill(signal?: NodeJS.Signals): void
}

export function run(command: string, args: readonly string[], options: SpawnOptions = {}): Running {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options })
  children.add(child)
  let out = ''
  let err = ''
  child.stdout?.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const exited = new Promise<number | string>((done, failed) => {
    child.on('error', failed)
    child.on('close', (code, signal) => {
      children.delete(child)
      done(code ?? signal ?? 'unknown')
    })
  })
  return {
    child,
    pid: child.pid ?? -1,
    out: () => out,
    err: () => err,
    exited,
    kill: (signal = 'SIGKILL') => void child.kill(signal),
  }
}

/** The CLI of this checkout. @param env added to a clean environment without any SIGNALBOX_ variable */
export function signalbox(args: readonly string[], options: SpawnOptions = {}): Running {
  const clean = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('SIGNALBOX_')),
  )
  return run(process.execPath, [cli, ...args], { ...options, env: { ...clean, ...options.env } })
}

export interface ServerProcess {
  readonly url: string
  readonly dataDir: string
  readonly running: Running
  /** kill -9, and a new one on the same data and port. */
  restart(): Promise<ServerProcess>
  stop(): Promise<void>
}

/** Starts `signalbox serve` on a free port and waits until it is ready. */
export async function startServer(
  options: {
    port?: number
    dataDir?: string
    args?: readonly string[]
    env?: Record<string, string>
    /** A program to run the server under, with its arguments. */
    via?: readonly string[]
  } = {},
): Promise<ServerProcess> {
  const port = options.port ?? (await freePort())
  const dataDir = options.dataDir ?? temporaryFolder('data')
  const args = [
    'serve',
    '--port',
    String(port),
    '--grpc-port',
    '0',
    '--data-dir',
    dataDir,
    '--log-level',
    'warn',
    ...(options.args ?? []),
  ]
  const [command, ...before] = options.via ?? []
  const running =
    command === undefined
      ? signalbox(args, { env: options.env ?? {} })
      : run(command, [...before, process.execPath, cli, ...args])
  const url = `http://127.0.0.1:${port}`
  await until(`the server at ${url} is ready`, async () => {
    const { exitCode, signalCode } = running.child
    if (exitCode !== null || signalCode !== null) throw new Error(`the server ended: ${running.err()}`)
    const answer = await fetch(`${url}/readyz`).catch(() => undefined)
    return answer?.status === 200
  })
  return {
    url,
    dataDir,
    running,
    async restart() {
      running.kill('SIGKILL')
      await running.exited
      return startServer({ ...options, port, dataDir })
    },
    async stop() {
      running.kill('SIGTERM')
      await running.exited
    },
  }
}

/**
 * A free port below those that systems give to whoever asks for any. Those may go to another server, or to a client's own
 * connection, before the process that is to have it has started, or while it is away.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    const free = await new Promise<boolean>((done) => {
      const probe = createServer()
      probe.on('error', () => done(false))
      probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)))
    })
    if (free) return port
  }
}

/** A new folder below the system's own; removed when this process ends. */
export function temporaryFolder(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `signalbox-${name}-`))
  folders.add(folder)
  return folder
}

/** Looks every 25 ms until it holds. @param withinMs generous: machines are slow */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 60_000,
): Promise<void> {
  const end = performance.now() + withinMs
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`gave up waiting until ${what}`)
    await new Promise((wake) => setTimeout(wake, 25))
  }
}

/** Can it still do anything? One that was killed and not yet reaped (a zombie) cannot. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return (
      process.platform !== 'linux' || !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
    )
  } catch {
    return false
  }
}
