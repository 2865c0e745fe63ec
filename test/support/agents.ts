/** A machine, or a job, with agents of its own: `turn agent` commands that share one RUNNER_TEMP. */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive, signalbox, temporaryFolder, type Running } from './processes.ts'

export const TTL_MS = 6_000
const SHORT = ['--ttl', `${TTL_MS}ms`, '--stop-grace', '1s']

/** As the state file has it. */
export interface AgentFile {
  readonly id: string
  readonly queue: string
  readonly pid: number
  readonly address: string
  readonly state: string
  readonly member?: string
  readonly fence?: number
}

export interface Done {
  readonly code: number | string
  readonly out: string
  readonly err: string
}

export interface Host {
  readonly env: Readonly<Record<string, string>>
  readonly folder: string
  /** `turn agent <args>`, to its end. */
  agent(...args: readonly string[]): Promise<Done>
  /** `turn agent start` with a short hold TTL. @returns the new agent */
  start(queue: string, ...args: readonly string[]): Promise<AgentFile>
  /** Members of the queue as the server lists them. */
  members(
    queue: string,
  ): Promise<{ readonly holders: readonly string[]; readonly waiters: readonly string[] }>
  files(): AgentFile[]
}

const base = temporaryFolder('agents')
const hosts: Host[] = []

/** @param env added to that of every command */
export function newHost(url: string, env: Readonly<Record<string, string>> = {}): Host {
  const temp = mkdtempSync(join(base, 'host-'))
  const own = { GITHUB_ACTIONS: '', ...env, RUNNER_TEMP: temp, SIGNALBOX_URL: url }
  const folder = join(temp, 'signalbox-agents')
  const host: Host = {
    env: own,
    folder,
    agent: (...args) => outcome(signalbox(['turn', 'agent', ...args], { env: own })),
    async start(queue, ...args) {
      const done = await host.agent('start', queue, ...SHORT, '--json', ...args)
      if (done.code !== 0) throw new Error(`start ended with ${done.code}: ${done.err}`)
      return JSON.parse(done.out) as AgentFile
    },
    async members(queue) {
      const answer = await fetch(`${url}/api/v1/turns/${encodeURIComponent(queue)}`)
      const view = (await answer.json()) as { holders: { id: string }[]; waiters: { id: string }[] }
      return { holders: view.holders.map(({ id }) => id), waiters: view.waiters.map(({ id }) => id) }
    },
    files: () => agentFiles(folder),
  }
  hosts.push(host)
  return host
}

/** Ends what tests have left running. */
export function killAgents(): void {
  for (const { folder } of hosts.splice(0)) {
    for (const { pid } of agentFiles(folder)) if (isAlive(pid)) process.kill(pid, 'SIGKILL')
  }
}

export async function outcome(running: Running): Promise<Done> {
  const code = await running.exited
  return { code, out: running.out(), err: running.err() }
}

function agentFiles(folder: string): AgentFile[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as AgentFile)
  } catch {
    return []
  }
}
