/** `turn agent status`: the agents of this machine, user and job. */
import type { CliContext } from '../../../cli/context.ts'
import { table } from '../../../cli/output.ts'
import { formatDuration } from '../../../kernel/duration.ts'
import { agentsFolder, clean, readAgents } from '../../agent/state-files.ts'
import { place, publicView } from './text.ts'

export function showAgents({ json }: { readonly json?: true }, { env, clock, stdout }: CliContext): void {
  const folder = agentsFolder(env)
  clean(folder, clock.now())
  const agents = readAgents(folder)
  if (json === true) {
    stdout.write(`${JSON.stringify({ agents: agents.map((agent) => publicView(agent, clock)) })}\n`)
    return
  }
  if (agents.length === 0) {
    stdout.write('No agents run here.\n')
    return
  }
  const rows = agents.map((agent) => [
    agent.id,
    agent.queue,
    String(agent.pid),
    agent.address,
    formatDuration(Math.max(0, clock.now() - Date.parse(agent.startedAt))),
    place(agent, clock),
  ])
  stdout.write(table([['ID', 'QUEUE', 'PROCESS', 'ADDRESS', 'FOR', 'PLACE'], ...rows]))
}
