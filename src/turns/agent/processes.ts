/**
 * Other processes of this machine, as an agent and its commands see them.
 *
 * Invariant: a process is known by its id *and* its birth, so that a reused id is never taken for it. A zombie is dead:
 * it can do nothing any more, and where nobody reaps it stays for ever.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'

/** A process for certain: an id is given again after its process has ended. */
export interface ProcessMark {
  readonly pid: number
  /** Where it can be told: when it started, and since which boot of the machine that is counted. */
  readonly born?: string | undefined
}

interface Stat {
  readonly parent: number
  readonly name: string
  readonly dead: boolean
  readonly ticks: string
}

const linux = process.platform === 'linux'
/** The process that runs a job's steps: github.com/actions/runner, src/Runner.Worker. */
const GITHUB_WORKER = 'Runner.Worker'

/** @returns undefined when there is no such process */
export function markOf(pid: number): ProcessMark | undefined {
  if (!answersSignals(pid)) return undefined
  if (linux) {
    const stat = statOf(pid)
    if (stat === undefined) return { pid }
    return stat.dead ? undefined : { pid, born: `${bootId()}/${stat.ticks}` }
  }
  const born = startedAt(pid)
  return born === undefined ? { pid } : { pid, born }
}

/** Is this very process still there, and able to act? */
export function isAlive(mark: ProcessMark): boolean {
  const now = markOf(mark.pid)
  return now !== undefined && (mark.born === undefined || now.born === undefined || now.born === mark.born)
}

/** The worker that runs this job's steps: the nearest ancestor of `pid` of that name. Linux only. */
export function githubWorkerAbove(pid: number): ProcessMark | undefined {
  if (!linux) return undefined
  for (let at = pid; at > 1;) {
    const stat = statOf(at)
    if (stat === undefined) return undefined
    if (stat.name === GITHUB_WORKER) return markOf(at)
    at = stat.parent
  }
  return undefined
}

/** Who listens on a TCP port, for messages: `node (process 42)`; `another process` where that cannot be seen. */
export function describeListener(port: number): string {
  try {
    const sockets = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap((table) => listening(table, port)))
    const pid = readdirSync('/proc').find((name) => /^\d+$/.test(name) && holdsOneOf(name, sockets))
    if (pid !== undefined) {
      const [program = ''] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
      return `${basename(program) || 'a process'} (process ${pid})`
    }
  } catch {
    // Not Linux, or /proc is hidden.
  }
  return 'another process'
}

/** See proc(5), `/proc/pid/stat`. */
function statOf(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The second field, the name in parentheses, may contain anything.
    const end = text.lastIndexOf(')')
    const fields = text.slice(end + 2).split(' ')
    const [state = '', parent] = fields
    return {
      parent: Number(parent),
      name: text.slice(text.indexOf('(') + 1, end),
      dead: state === 'Z' || state === 'X',
      ticks: fields[19] ?? '',
    }
  } catch {
    return undefined // gone, or /proc is hidden
  }
}

function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Start times on Linux count from the boot, of which this is one. */
function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
  } catch {
    return ''
  }
}

function startedAt(pid: number): string | undefined {
  try {
    const text = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      timeout: 2_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return text.trim() || undefined
  } catch {
    return undefined
  }
}

/** Links as they appear in /proc/<pid>/fd. Format: Linux, Documentation/networking/proc_net_tcp. */
function listening(table: string, port: number): string[] {
  const LISTEN = '0A'
  return readFileSync(table, 'utf8')
    .split('\n')
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
