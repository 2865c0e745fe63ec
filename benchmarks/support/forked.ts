/** Processes under measurement: forked, asked what they use, ended with this one. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Usage } from './usage.ts'

const USAGE = join(import.meta.dirname, 'usage.ts')
const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

export interface Forked {
  readonly child: ChildProcess
  usage(): Promise<Usage>
  /** SIGTERM, and its end. */
  stop(): Promise<void>
}

export interface ForkOptions {
  /** Beside an environment without this project's and AWS's variables. */
  readonly env?: NodeJS.ProcessEnv
  /** Nothing is added to it, so that its memory is its own; `usage` cannot be asked. */
  readonly plain?: boolean
}

/** `BENCH_EXEC_ARGV=--cpu-prof` in the environment gives all of them more arguments for Node.js. */
export function forked(file: string, args: readonly string[], { env, plain }: ForkOptions = {}): Forked {
  const clean = Object.entries(process.env).filter(([name]) => !/^(SIGNALBOX|APP|AWS)_/.test(name))
  const more = process.env['BENCH_EXEC_ARGV']?.split(' ') ?? []
  const child = fork(file, args, {
    execArgv: plain === true ? [] : ['--import', USAGE, ...more],
    env: { ...Object.fromEntries(clean), ...env },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  children.add(child)
  const ended = once(child, 'exit').then(() => children.delete(child))
  return {
    child,
    async usage() {
      child.send('usage')
      return (await heard(child, (message) => typeof message === 'object')) as Usage
    },
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
  }
}

/** The next message of a child that is wanted. @throws Error when the child ends before */
export function heard(child: ChildProcess, wanted: (message: unknown) => boolean): Promise<unknown> {
  return new Promise((done, failed) => {
    const ended = (code: number | null): void => failed(new Error(`${child.spawnfile} ended with ${code}`))
    const listen = (message: unknown): void => {
      if (!wanted(message)) return
      child.off('message', listen)
      child.off('exit', ended)
      done(message)
    }
    child.on('message', listen)
    child.once('exit', ended)
  })
}

/** The first line of standard output that has this text. @throws Error when the child ends before */
export function line(child: ChildProcess, text: string): Promise<string> {
  return new Promise((done, failed) => {
    let out = ''
    child.once('exit', (code) => failed(new Error(`ended with ${code} before it said '${text}'`)))
    child.stdout?.on('data', (chunk: Buffer) => {
      out += chunk.toString()
      const found = out
        .slice(0, out.lastIndexOf('\n') + 1)
        .split('\n')
        .find((one) => one.includes(text))
      if (found !== undefined) done(found)
    })
  })
}
