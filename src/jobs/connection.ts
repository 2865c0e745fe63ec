/**
 * Which connection jobs use when none is named: the process's own, opened at the first use by whoever composed the process
 * (`setDefaultConnection`). Nothing in this folder opens an engine.
 */
import { SignalboxError } from '../kernel/error.ts'
import type { JobsConnection } from './api.ts'

type Open = () => Promise<JobsConnection>

let open: Open | undefined
let opened: Promise<JobsConnection> | undefined

/** Says how this process's connection is opened; it replaces what was said before. Undefined: there is none. */
export function setDefaultConnection(how: Open | undefined): void {
  open = how
  opened = undefined
}

/**
 * The connection that is named, else the process's own; one that could not be opened is tried again at the next use.
 * @throws SignalboxError `unavailable`, with how to start one
 */
export function connectionOf(via: JobsConnection | undefined): JobsConnection | Promise<JobsConnection> {
  if (via !== undefined) return via
  if (open === undefined) {
    throw new SignalboxError(
      'unavailable',
      'jobs: no connection; import defineJob of signalbox/jobs, or hand a connection over as via',
    )
  }
  opened ??= open().catch((error: unknown) => {
    opened = undefined
    throw error
  })
  return opened
}
