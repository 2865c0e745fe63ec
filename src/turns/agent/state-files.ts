/**
 * The state files of this user's agents: `<folder>/<id>.json`, mode 0600, in a folder that only its owner can enter.
 *
 * Invariants:
 * - a file is replaced as a whole (rename): a reader sees the old or the new one;
 * - a folder that others could write to, or that is another user's, is refused, for what lies in it is acted upon;
 * - an id is taken by making its file, so two agents never share one.
 */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { SignalboxError } from '../../kernel/error.ts'
import { isAlive } from './processes.ts'
import { agentState, type AgentState } from './state.ts'

type Env = Readonly<Record<string, string | undefined>>

const FOLDER = 'signalbox-agents'
const OTHERS = 0o077
/** How long an end that nobody asked about, or a log without an agent, is kept. */
const KEEP_MS = 24 * 3_600_000

/**
 * Where agents of this user and this job lie: under RUNNER_TEMP, which GitHub empties for each job; else under
 * XDG_RUNTIME_DIR; else in the temporary directory, which users share, under a name of the user's own.
 */
export function agentsFolder(env: Env): string {
  const base = [env['RUNNER_TEMP'], env['XDG_RUNTIME_DIR']].find((path) => path !== undefined && path !== '')
  if (base !== undefined) return resolve(base, FOLDER)
  const { uid } = userInfo()
  return join(tmpdir(), uid < 0 ? FOLDER : `${FOLDER}-${uid}`)
}

/**
 * @param create makes the folder when it is not there
 * @returns false when it is not there
 * @throws SignalboxError `permission_denied` when it is not this user's alone
 */
export function checkFolder(folder: string, { create }: { readonly create: boolean }): boolean {
  try {
    if (create) mkdirSync(folder, { recursive: true, mode: 0o700 })
    const { uid, mode } = lstatSync(folder)
    const mine = process.getuid === undefined || (uid === process.getuid() && (mode & OTHERS) === 0)
    if (lstatSync(folder).isDirectory() && mine) return true
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' && !create) return false
    const why = `cannot be used for the state of agents (${code})`
    throw denied(`${folder}: ${why}; make its parent directory writable, or set RUNNER_TEMP`, cause)
  }
  throw denied(
    `${folder}: must be a directory of your own that nobody else can enter (mode 0700); remove it, or set RUNNER_TEMP`,
  )
}

/** Every agent that can be read, living or not, in the order of their starts. */
export function readAgents(folder: string): AgentState[] {
  if (!checkFolder(folder, { create: false })) return []
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => read(join(folder, name)) ?? [])
    .sort((a, b) => (a.startedAt < b.startedAt ? -1 : 1))
}

/** @returns undefined when there is none */
export function readAgent(folder: string, id: string): AgentState | undefined {
  return read(join(folder, `${id}.json`))
}

/** Is its process there? */
export function lives(state: AgentState): boolean {
  return isAlive({ pid: state.pid, born: state.born })
}

/** Takes the id. @throws SignalboxError `conflict` when an agent has it */
export function reserve(folder: string, state: AgentState): void {
  checkFolder(folder, { create: true })
  try {
    writeFileSync(join(folder, `${state.id}.json`), JSON.stringify(state), { flag: 'wx', mode: 0o600 })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'EEXIST') throw takenId(state.id, cause)
    throw denied(`${folder}: cannot write (${code}); make it writable, or set RUNNER_TEMP`, cause)
  }
}

export function takenId(id: string, cause?: unknown): SignalboxError {
  const what = `agent ${id}: exists already; choose another --name, or stop it first`
  return new SignalboxError('conflict', what, { cause, details: { agent: id } })
}

/** Replaces the file. @throws the file system's error */
export function publish(folder: string, state: AgentState): void {
  const path = join(folder, `${state.id}.json`)
  const draft = `${path}.${state.pid}`
  writeFileSync(draft, JSON.stringify(state), { mode: 0o600 })
  renameSync(draft, path)
}

/** Removes an agent's files; its log only when nobody is to read it. */
export function forget(folder: string, id: string, { log }: { readonly log: boolean }): void {
  rmSync(join(folder, `${id}.json`), { force: true })
  if (log) rmSync(logPath(folder, id), { force: true })
}

export function logPath(folder: string, id: string): string {
  return join(folder, `${id}.log`)
}

/**
 * Removes what agents that were killed left behind, and what nobody asked about for a day.
 *
 * @param now wall-clock ms
 * @returns the agents that were killed: what they held lapses by itself
 */
export function clean(folder: string, now: number): AgentState[] {
  if (!checkFolder(folder, { create: false })) return []
  const killed = readAgents(folder).filter((state) => state.state !== 'ended' && !lives(state))
  for (const { id } of killed) forget(folder, id, { log: false })
  const living = readAgents(folder).filter(({ state }) => state !== 'ended')
  const kept = new Set(living.map(({ id }) => id))
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    const id = name.slice(0, name.indexOf('.'))
    if (!kept.has(id) && now - modifiedAt(path, now) > KEEP_MS) rmSync(path, { force: true })
  }
  return killed
}

function modifiedAt(path: string, now: number): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? now
}

/** A file that is gone, or is no state of ours, reads as undefined. */
function read(path: string): AgentState | undefined {
  try {
    return agentState.safeParse(JSON.parse(readFileSync(path, 'utf8'))).data
  } catch {
    return undefined
  }
}

function denied(message: string, cause?: unknown): SignalboxError {
  return new SignalboxError('permission_denied', message, { cause })
}
