/**
 * What `turn run` or `lease run` and its supervisor say to each other: one JSON object a line, over one socket pair (descriptor 3 of
 * the supervisor). The end of the stream says that the other process is dead.
 *
 * This file is loaded by the supervisor: it may import nothing that takes time to start.
 */
import type { Deadline } from '../kernel/deadline.ts'
import type { ProcessGroup } from './process-group.ts'

/** To the supervisor. `run` comes first, once. */
export type Order =
  | {
      readonly type: 'run'
      readonly command: string
      readonly args: readonly string[]
      /** The command's whole environment. */
      readonly env: Readonly<Record<string, string>>
      readonly stopGraceMs: number
      /** None: the command may run until it ends or the parent dies. */
      readonly deadline?: Deadline
    }
  | { readonly type: 'deadline'; readonly deadline: Deadline }
  /** SIGTERM now, SIGKILL after the grace or at the deadline. */
  | { readonly type: 'stop' }
  /** SIGKILL now. */
  | { readonly type: 'kill' }
  | { readonly type: 'signal'; readonly name: NodeJS.Signals }

/** From the supervisor: `started`, then `ended`; or `failed` alone. */
export type Report =
  | { readonly type: 'started'; readonly group: ProcessGroup }
  /** The command could not be started. */
  | { readonly type: 'failed'; readonly errno: string }
  | {
      readonly type: 'ended'
      readonly code: number | null
      readonly signal: NodeJS.Signals | null
      /** No process of the group is left. */
      readonly groupDead: boolean
      /** It was stopped because the deadline came. */
      readonly overdue: boolean
    }

export function encode(message: Order | Report): string {
  return `${JSON.stringify(message)}\n`
}

/** Turns chunks of text into messages, whole lines only. */
export function decoder(take: (message: unknown) => void): (chunk: string) => void {
  let rest = ''
  return (chunk) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) take(JSON.parse(line))
  }
}
