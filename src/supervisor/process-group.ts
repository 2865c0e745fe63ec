/**
 * A command and everything it started: its process group and, on Linux, its session (so job control in a shell does not
 * get out of sight). What a process starts in a session of its own (`setsid`, a container, a service) is not seen.
 *
 * Invariants:
 * - a group counts as dead only when no member is left that could still act: a zombie cannot, a member that may not be
 *   signalled could;
 * - a group whose id was given to another process after it died is never signalled (Linux: told by the leader's
 *   starting time; the kernel keeps an id while any member lives).
 *
 * Loaded by the supervisor: imports built-ins of Node and the clock alone.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { sleep, type Clock } from '../kernel/clock.ts'

export interface ProcessGroup {
  /** The leader's process id, which is the group's and the session's as well. */
  readonly id: number
  /** Linux: when the leader started, in ticks since boot. */
  readonly bornAt?: string
}

const linux = process.platform === 'linux'
/** How long a group may take to vanish after SIGKILL before it counts as not provably dead. */
const VANISH_MS = 5_000
const POLL_MS = 20

/** The group that `leader`, just started with `detached`, leads. */
export function groupOf(leader: number): ProcessGroup {
  const bornAt = linux ? attempted(() => statOf(String(leader))?.bornAt) : undefined
  return { id: leader, ...(bornAt === undefined ? {} : { bornAt }) }
}

/** Sends a signal to every member; none left, or none that may be signalled, is not an error. */
export function signalGroup(group: ProcessGroup, signal: NodeJS.Signals): void {
  if (wasRecycled(group)) return
  trySignal(-group.id, signal)
  for (const { pid, group: id } of liveMembers(group) ?? []) if (id !== group.id) trySignal(pid, signal)
}

/** Is any member left that could still act? */
export function groupLives(group: ProcessGroup): boolean {
  if (wasRecycled(group)) return false
  const members = liveMembers(group)
  if (members !== undefined && members.length > 0) return true
  const answer = trySignal(-group.id, 0)
  if (members === undefined) return answer !== 'gone' && !onlyZombies(group)
  // What may be signalled and was not listed above is dead, and waits for its parent to notice.
  return answer === 'denied'
}

export interface EndOptions {
  readonly clock: Clock
  /** Milliseconds until SIGKILL; asked again and again, so it may change. */
  readonly killIn: () => number
}

/**
 * SIGTERM now, SIGKILL when `killIn` says so.
 * @returns true when the group is dead; false when it is not provably so some seconds after SIGKILL
 */
export async function endGroup(group: ProcessGroup, { clock, killIn }: EndOptions): Promise<boolean> {
  if (killIn() > 0 && groupLives(group)) {
    signalGroup(group, 'SIGTERM')
    // A stopped process acts on SIGTERM only once it is continued.
    signalGroup(group, 'SIGCONT')
  }
  let killedAt: number | undefined
  for (;;) {
    if (!groupLives(group)) {
      // A member that forked and ended while the list was being read has hidden its child; after SIGKILL none can fork.
      signalGroup(group, 'SIGKILL')
      if (!groupLives(group)) return true
    }
    const left = killIn()
    if (left <= 0) {
      killedAt ??= clock.monotonic()
      if (clock.monotonic() - killedAt > VANISH_MS) return false
      signalGroup(group, 'SIGKILL')
    }
    await sleep(clock, Math.max(1, Math.min(POLL_MS, left)))
  }
}

/**
 * Groups of the processes whose environment has this entry (`NAME=value`); undefined where that cannot be seen.
 * For the case that a supervisor died before it could report whom it started.
 */
export function groupsMarked(entry: string): ProcessGroup[] | undefined {
  if (!linux) return undefined
  return attempted(() => {
    const marked = pids()
      .filter((pid) => `\0${read(`/proc/${pid}/environ`) ?? ''}`.includes(`\0${entry}\0`))
      .flatMap((pid) => statOf(pid) ?? [])
      .filter((stat) => !stat.dead)
    return [...new Set(marked.map((stat) => stat.group))].map(groupOf)
  })
}

interface Stat {
  readonly pid: number
  readonly group: number
  readonly session: number
  readonly bornAt: string | undefined
  readonly dead: boolean
}

/** See proc(5), `/proc/pid/stat`. */
function statOf(pid: string): Stat | undefined {
  const text = read(`/proc/${pid}/stat`)
  if (text === undefined) return undefined
  // The second field, the name in parentheses, may contain anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const zombie = fields[0] === 'Z' || fields[0] === 'X'
  return {
    pid: Number(pid),
    group: Number(fields[2]),
    session: Number(fields[3]),
    bornAt: fields[19],
    // A leading thread that has ended shows as a zombie while other threads work on.
    dead: zombie && Number(fields[17]) <= 1,
  }
}

/** Undefined where processes cannot be listed: not on Linux, or /proc cannot be read. */
function liveMembers({ id }: ProcessGroup): Stat[] | undefined {
  if (!linux) return undefined
  return attempted(() =>
    pids()
      .flatMap((pid) => statOf(pid) ?? [])
      .filter((stat) => !stat.dead && (stat.group === id || stat.session === id)),
  )
}

function wasRecycled({ id, bornAt }: ProcessGroup): boolean {
  if (bornAt === undefined) return false
  const stat = attempted(() => statOf(String(id)))
  return stat !== undefined && stat.bornAt !== bornAt
}

function pids(): string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name))
}

/** A file of a process that is gone, or another user's, reads as undefined; what else fails is not an answer. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return undefined
    throw error
  }
}

function attempted<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch {
    return undefined
  }
}

function onlyZombies({ id }: ProcessGroup): boolean {
  try {
    const rows = execFileSync('ps', ['-A', '-o', 'pgid=,stat='], {
      encoding: 'utf8',
      timeout: 2_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    }).split('\n')
    return rows.every((row) => {
      const [group, state = ''] = row.trim().split(/\s+/)
      return Number(group) !== id || state.startsWith('Z')
    })
  } catch {
    return false
  }
}

function trySignal(target: number, signal: NodeJS.Signals | 0): 'sent' | 'gone' | 'denied' {
  try {
    process.kill(target, signal)
    return 'sent'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM' ? 'denied' : 'gone'
  }
}
