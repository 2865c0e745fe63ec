/** One measurement: a client process at work, and what it and the sidecar it talks to took for each message. */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../../test/support/processes.ts'
import { forked, heard, line, type Forked } from '../support/forked.ts'
import { summary, type Summary } from '../support/statistics.ts'
import type { Task } from './client.ts'
import type { Measured } from './meter.ts'

export interface Figures {
  readonly perSecond: number
  /** Microseconds of CPU for each message. */
  readonly client: number
  readonly sidecar: number
  readonly together: number
}

/** @param sidecar of which the client makes use, if it does */
export async function measured(way: string, task: Task, sidecar?: Forked): Promise<Figures> {
  const client = forked(join(import.meta.dirname, 'client.ts'), [way, JSON.stringify(task)])
  await heard(client.child, (message) => message === 'begun')
  const before = (await sidecar?.usage())?.cpu ?? 0
  const done = (await heard(client.child, (message) => typeof message === 'object')) as Measured
  const after = (await sidecar?.usage())?.cpu ?? 0
  await client.stop()
  const clients = done.cpu / done.messages
  const sidecars = (after - before) / done.messages
  return {
    perSecond: done.messages / done.seconds,
    client: clients,
    sidecar: sidecars,
    together: clients + sidecars,
  }
}

export function summaries(all: readonly Figures[]): Record<keyof Figures, Summary> {
  const of = (key: keyof Figures): Summary => summary(all.map((figures) => figures[key]))
  return {
    perSecond: of('perSecond'),
    client: of('client'),
    sidecar: of('sidecar'),
    together: of('together'),
  }
}

/** As a package of its own, which finds its dependencies above it. */
const PACKAGE = join(root, '.cache/bench-messages')

/** Compiles the program as it is published, into a folder that git ignores. */
export function build(): void {
  const tsc = join(root, 'node_modules/.bin/tsc')
  const out = ['--outDir', join(PACKAGE, 'dist')]
  execFileSync(tsc, ['--project', join(root, 'tsconfig.build.json'), ...out], { stdio: 'inherit' })
  cpSync(join(root, 'package.json'), join(PACKAGE, 'package.json'))
}

export interface Sidecar extends Forked {
  readonly grpc: string
  readonly http: string
}

/** The published form of `signalbox sidecar`, on free ports. @param options `web`: with its HTTP listener */
export async function startSidecar(
  args: readonly string[],
  { web = false, plain = false }: { readonly web?: boolean; readonly plain?: boolean } = {},
): Promise<Sidecar> {
  const main = join(PACKAGE, 'dist/cli/main.js')
  if (!existsSync(main)) throw new Error(`${main} is missing`)
  const all = ['sidecar', '--port', '0', ...(web ? ['--http-port', '0'] : []), '--grace', '1s', ...args]
  const env = { APP_AWS_ACCESS_KEY_ID: 'AKIATEST', APP_AWS_SECRET_ACCESS_KEY: 'test' }
  const started = forked(main, all, { env, plain })
  const { address, http = '' } = JSON.parse(await line(started.child, 'is ready')) as Record<string, string>
  return { ...started, grpc: address ?? '', http }
}
