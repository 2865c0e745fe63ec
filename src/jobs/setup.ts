/** What a module may export beside its jobs, for `signalbox worker`: what `startWorker` would be given in code. */
import type { WorkerOptions } from './worker.ts'

/** Dependencies are made once a process, before its first job, and disposed of after its last one. */
export interface WorkerSetup<Deps> extends Pick<
  WorkerOptions,
  'middleware' | 'envelopes' | 'queues' | 'unknownJobGrace' | 'visibility'
> {
  /** What jobs get as `deps`. */
  readonly deps?: () => Promise<Deps> | Deps
  /** Gives back what `deps` opened; called once all jobs have ended. */
  readonly dispose?: (deps: Deps) => Promise<void> | void
}

const MARK = Symbol.for('signalbox.worker-setup')

/**
 * @example
 * export const worker = defineWorker({
 *   deps: async () => ({ mail: await openMailer() }),
 *   dispose: ({ mail }) => mail.close(),
 *   queues: { mail: 3, reports: 1 },
 * })
 */
export function defineWorker<Deps>(setup: WorkerSetup<Deps>): WorkerSetup<Deps> {
  return Object.assign({ ...setup }, { [MARK]: true })
}

export function isWorkerSetup(value: unknown): value is WorkerSetup<unknown> {
  return typeof value === 'object' && value !== null && MARK in value
}
