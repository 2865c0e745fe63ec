/** What `turn agent start` and the process that it starts tell each other (Node's IPC channel). */
import type { ErrorCode } from '../../../kernel/error.ts'
import type { ProcessMark } from '../../agent/processes.ts'
import type { AgentState } from '../../agent/state.ts'
import type { StartFlags } from './request.ts'

/** The first and only message down. The flags were checked, and are again. */
export interface StartOrder {
  readonly id: string
  readonly folder: string
  readonly queue: string
  readonly flags: StartFlags
  readonly watched?: ProcessMark | undefined
}

/** The first and only message up; then the channel is closed. */
export type StartReport =
  | { readonly type: 'joined'; readonly state: AgentState }
  | {
      readonly type: 'failed'
      readonly code: ErrorCode
      readonly message: string
      readonly details: Readonly<Record<string, string | number | boolean>>
    }
