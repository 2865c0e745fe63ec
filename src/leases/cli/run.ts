/**
 * `lease run`: wait for the lease, run the command under its supervisor, tell how it ended. What happens while the command
 * runs is in `cli/held-command.ts`.
 *
 * Invariants: the command starts only while the lease is held, never for `completed`; success is told only when the command
 * ended with 0, by itself, while the lease was held; a success that the server does not take is a lost lease; a signal while
 * waiting withdraws the request.
 */
import type { ConnectOptions, LeaseConnection, LeaseContext } from '../../cli/context.ts'
import { exitCodeOfSignal, HeldCommand, type Held, type RunParts } from '../../cli/held-command.ts'
import { formatDuration } from '../../kernel/duration.ts'
import { SignalboxError } from '../../kernel/error.ts'
import { checkPlatform } from '../../supervisor/supervise.ts'
import { providerLabel } from '../api.ts'
import { openLease, type Lease, type OpenedLease } from '../session.ts'
import { whyNotTaken } from './not-taken.ts'
import { Reporter } from './reporter.ts'
import type { AcquireRequest, RunRequest } from './request.ts'

export interface RunSetting extends RunParts {
  readonly context: LeaseContext
  readonly where: Pick<ConnectOptions, 'url' | 'dataDir'>
}

/**
 * @returns the exit code
 * @throws SignalboxError what kept the command from running, or `lease_lost`
 */
export async function runWithLease(request: RunRequest, setting: RunSetting): Promise<number> {
  checkPlatform()
  const { provider, report } = request
  const { context } = setting
  const { stderr, clock } = context
  const reporter = new Reporter({ provider, mode: report, stderr, clock })
  const command = new HeldCommand({
    ...request,
    lines: reporter.lines,
    context,
    supervise: setting.supervise,
    words: { thing: 'lease', name: providerLabel(provider), lapse: lapse(request), lost: 'lease_lost' },
  })
  const giveBack = setting.listen((name) => command.take(name))
  try {
    return await acquireAndRun(request, setting, { reporter, command })
  } finally {
    giveBack()
  }
}

/** Connects, waits, and hands over what came of it; a signal while waiting is an exit code. */
export async function withLease(
  request: AcquireRequest & { readonly stopGraceMs?: number },
  { context, where }: Pick<RunSetting, 'context' | 'where'>,
  { reporter, signal }: { readonly reporter: Reporter; readonly signal: AbortSignal },
  use: (opened: OpenedLease) => Promise<number>,
): Promise<number> {
  const { clock, random } = context
  let connection: LeaseConnection | undefined
  try {
    connection = await context.connect(where)
    const { leases: api, describe } = connection
    reporter.lines.note(`asking ${describe}`, { event: 'connected', server: describe })
    const onProgress = reporter.progress.bind(reporter)
    return await use(await openLease({ ...request, api, clock, random, signal, onProgress }))
  } catch (error) {
    const ended = exitCodeOfSignal(error)
    if (ended === undefined) throw error
    reporter.lines.note('withdrawn', { event: 'withdrawn', signal: ended.signal })
    return ended.exitCode
  } finally {
    reporter.close()
    await connection?.close()
  }
}

function acquireAndRun(
  request: RunRequest,
  setting: RunSetting,
  { reporter, command }: { readonly reporter: Reporter; readonly command: HeldCommand },
): Promise<number> {
  return withLease(request, setting, { reporter, signal: command.given }, async (opened) => {
    if (opened.status === 'completed') return 0
    const { lease } = opened
    const id = setting.context.random.id()
    const env = {
      SIGNALBOX_LEASE: providerLabel(lease.provider),
      SIGNALBOX_LEASE_ID: id,
      SIGNALBOX_LEASE_STATUS: opened.status,
      SIGNALBOX_LEASE_STACKED: lease.stacked.join(' '),
      // Empty rather than somebody else's, which this process may have been given.
      SIGNALBOX_FENCE: String(lease.fence ?? ''),
    }
    return command.run(held(lease, reporter), env, `SIGNALBOX_LEASE_ID=${id}`)
  })
}

function held(lease: Lease, { lines }: Reporter): Held {
  return {
    ...lease,
    async giveBack(succeeded, signal) {
      const answer = await lease.release(succeeded ? 'success' : 'failure', { signal })
      const why = whyNotTaken(answer, succeeded)
      if (why !== undefined && succeeded) return lostMeanwhile(lease, why)
      if (answer.kind === 'lease') {
        lines.note(succeeded ? 'released as success' : 'released as failure', {
          event: 'released',
          status: answer.status,
        })
      } else {
        lines.warn(
          new SignalboxError('conflict', `the server does not take the release: ${answer.reason}`),
          'the lease was not this commit’s any more',
        )
      }
      return undefined
    },
  }
}

function lostMeanwhile({ provider, sha }: Lease, why: string): SignalboxError {
  const name = providerLabel(provider)
  return new SignalboxError(
    'lease_lost',
    `${name}: the lease was lost while the command ran, and others may have worked meanwhile: ${why}`,
    { details: { provider: name, sha } },
  )
}

function lapse({ request }: RunRequest): string {
  return request.leaseMs === undefined
    ? 'expires when the server takes its holder for dead'
    : `expires within ${formatDuration(request.leaseMs)}`
}
