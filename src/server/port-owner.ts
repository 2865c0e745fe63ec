/**
 * Who listens on a TCP port of this machine, as far as it can be found out cheaply: another Signalbox says so itself, any
 * other process of the same user is found through Linux's /proc. For messages only.
 */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { get } from 'node:http'
import { basename } from 'node:path'

export interface PortOwner {
  /** The version it reports, if it is a Signalbox. */
  readonly signalbox?: string
  readonly pid?: number
  /** Name of its program. */
  readonly program?: string
}

const PATIENCE_MS = 1_000
const MAX_ANSWER = 1_000

export async function findPortOwner(host: string, port: number): Promise<PortOwner> {
  const [signalbox, process] = [await askVersion(host, port), processListeningOn(port)]
  return { ...(signalbox === undefined ? {} : { signalbox }), ...process }
}

/** `Signalbox 0.1.0 (process 42)`, `node (process 42)`, `another process` */
export function describePortOwner({ signalbox, pid, program }: PortOwner): string {
  const who = signalbox === undefined ? program : `Signalbox ${signalbox}`
  if (who === undefined) return 'another process'
  return pid === undefined ? who : `${who} (process ${pid})`
}

function askVersion(host: string, port: number): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const headers = { accept: 'application/json' }
  const target = { host: reachable(host), port, path: '/healthz', headers, timeout: PATIENCE_MS }
  const request = get(target, (response) => {
    let text = ''
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => {
      text += chunk
      if (text.length > MAX_ANSWER) response.destroy()
    })
    response.on('close', () => resolve(versionIn(text)))
  })
  request.on('timeout', () => request.destroy())
  request.on('error', () => resolve(undefined))
  return promise
}

function versionIn(text: string): string | undefined {
  try {
    const answer = JSON.parse(text) as { name?: unknown; version?: unknown }
    return answer.name === 'signalbox' && typeof answer.version === 'string' ? answer.version : undefined
  } catch {
    return undefined
  }
}

/** An address to call, for one that is listened on. */
export function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  return host === '::' ? '::1' : host
}

function processListeningOn(port: number): { pid: number; program: string } | undefined {
  try {
    const sockets = new Set([
      ...listeningSockets('/proc/net/tcp', port),
      ...listeningSockets('/proc/net/tcp6', port),
    ])
    if (sockets.size === 0) return undefined
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      if (holdsOneOf(pid, sockets)) return { pid: Number(pid), program: programOf(pid) }
    }
  } catch {
    // Not Linux, or /proc is hidden.
  }
  return undefined
}

/** Links as they appear in /proc/<pid>/fd: `socket:[12345]`. Format: Linux, Documentation/networking/proc_net_tcp. */
function listeningSockets(table: string, port: number): string[] {
  const LISTEN = '0A'
  return readFileSync(table, 'utf8')
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([, local, , state]) => state === LISTEN && Number.parseInt(local?.split(':')[1] ?? '', 16) === port,
    )
    .map((columns) => `socket:[${columns[9]}]`)
}

function holdsOneOf(pid: string, sockets: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return sockets.has(readlinkSync(`/proc/${pid}/fd/${fd}`))
      } catch {
        return false // closed meanwhile
      }
    })
  } catch {
    return false // another user's, or gone
  }
}

function programOf(pid: string): string {
  const [program = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  return basename(program) || 'a process'
}
