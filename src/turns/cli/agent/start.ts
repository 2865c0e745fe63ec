/**
 * `turn agent start`: starts the agent's process and waits until it has a place in the queue.
 *
 * Invariants: the agent outlives this process only once it has reported that it joined (the end of their channel before
 * that is an order to leave); a start that failed leaves neither a process nor a file behind.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { getCompileCacheDir } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { CliContext } from '../../../cli/context.ts'
import { chooseEngine } from '../../../cli/engine.ts'
import { printWarning } from '../../../cli/output.ts'
import { SignalboxError } from '../../../kernel/error.ts'
import type { ProcessMark } from '../../agent/processes.ts'
import type { AgentState } from '../../agent/state.ts'
import {
  agentsFolder,
  checkFolder,
  clean,
  forget,
  logPath,
  readAgents,
  takenId,
} from '../../agent/state-files.ts'
import type { StartOrder, StartReport } from './protocol.ts'
import { agentRequest, watchedProcess, type StartFlags } from './request.ts'
import { describeAgent, publicView } from './text.ts'

export interface LaunchOptions {
  /** What Node runs as the agent's process; it has to call `serveAgent`. Default: this CLI. */
  readonly program?: readonly string[]
  /** Makes an agent that has not yet joined leave; the launch then fails. */
  readonly signal?: AbortSignal
}

export interface Launched {
  readonly state: AgentState
  /** The process with whose end the agent ends. */
  readonly watched: ProcessMark | undefined
}

/** @throws SignalboxError what kept the agent from joining */
export async function startAgent(queue: string, flags: StartFlags, context: CliContext): Promise<void> {
  const { env, clock, stdout, stderr } = context
  const { state, watched } = await launchAgent(queue, flags, context)
  if (watched === undefined && env['GITHUB_ACTIONS'] === 'true') {
    printWarning(
      'the runner’s worker process was not found, so the agent ends by stop or --max-hold only; see --watch-pid',
      { stderr },
    )
  }
  stdout.write(
    flags.json === true ? `${JSON.stringify(publicView(state, clock))}\n` : describeAgent(state, clock),
  )
}

/**
 * Starts an agent and waits until it has a place in the queue; prints nothing.
 *
 * @throws SignalboxError what kept the agent from joining; then there is no agent
 */
export async function launchAgent(
  queue: string,
  flags: StartFlags,
  context: Pick<CliContext, 'env' | 'clock' | 'random'>,
  options: LaunchOptions = {},
): Promise<Launched> {
  const { env, clock, random } = context
  if (process.platform === 'win32') {
    const what =
      'this platform (win32) has no signals, so an agent cannot be told to leave; run it in WSL or a container'
    throw new SignalboxError('invalid_argument', what)
  }
  const { name } = agentRequest(queue, flags, {})
  chooseEngine(flags, env) // checks it, before there is a process
  const watched = watchedProcess(flags, env)
  const folder = agentsFolder(env)
  checkFolder(folder, { create: true })
  clean(folder, clock.now())
  const id = name ?? random.id().slice(0, 8)
  // The ends of earlier agents are not this one's.
  for (const old of readAgents(folder)) {
    if (old.state === 'ended' && (old.queue === queue || old.id === id)) forget(folder, old.id, { log: true })
    else if (old.id === id) throw takenId(id)
  }
  return { state: await begin({ id, folder, queue, flags, watched }, env, options), watched }
}

async function begin(
  order: StartOrder,
  env: CliContext['env'],
  { program = cliProgram(), signal }: LaunchOptions,
): Promise<AgentState> {
  const { folder, id } = order
  const log = openLog(folder, id)
  const child = launch(program, log, env)
  closeSync(log)
  const leave = (): void => void child.kill('SIGTERM')
  if (signal?.aborted === true) leave()
  signal?.addEventListener('abort', leave, { once: true })
  const report = await reportOf(child, order)
  signal?.removeEventListener('abort', leave)
  if (report?.type === 'joined') {
    child.disconnect()
    child.unref()
    return report.state
  }
  await ended(child)
  const said = report === undefined ? lastLine(logPath(folder, id)) : ''
  // An id that another agent took in this moment is that one's, its log included.
  if (report?.details['agent'] !== id) forget(folder, id, { log: true })
  if (report === undefined) {
    throw new SignalboxError('internal', `the agent's process ended before it joined${said}`)
  }
  throw new SignalboxError(report.code, report.message, { details: report.details })
}

function cliProgram(): readonly string[] {
  const self = import.meta.url
  const main = fileURLToPath(new URL(`../../../cli/main.${self.endsWith('.ts') ? 'ts' : 'js'}`, self))
  return [main, 'turn', 'agent', 'serve']
}

/** A session of its own: signals to this one, and the end of its terminal, do not reach it. */
function launch(program: readonly string[], log: number, env: CliContext['env']): ChildProcess {
  const cache = getCompileCacheDir()
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...program], {
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
    env: { ...env, ...(cache === undefined ? {} : { NODE_COMPILE_CACHE: cache }) },
  })
}

/** @returns undefined when it ended without a word */
function reportOf(child: ChildProcess, order: StartOrder): Promise<StartReport | undefined> {
  return new Promise((done) => {
    child.once('message', (message) => done(message as StartReport))
    child.once('exit', () => done(undefined))
    child.once('error', () => done(undefined))
    child.send(order, () => undefined)
  })
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined)
    return Promise.resolve()
  if (child.connected) child.disconnect()
  return new Promise((done) => child.once('exit', () => done()))
}

/** Appends: an agent of the same name before this one may have said why it ended. */
function openLog(folder: string, id: string): number {
  const path = logPath(folder, id)
  try {
    return openSync(path, 'a', 0o600)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new SignalboxError('permission_denied', `${path}: cannot be written (${code})`, { cause })
  }
}

function lastLine(path: string): string {
  try {
    const line = readFileSync(path, 'utf8').trim().split('\n').at(-1) ?? ''
    return line === '' ? '' : `; it said: ${line}`
  } catch {
    return ''
  }
}
