/**
 * `lease acquire` and `lease release`: for work that does not fit into one command. Nobody renews between the two, so the
 * lease lasts as long as `--lease`, or the server, lets it.
 */
import type { LeaseContext } from '../../cli/context.ts'
import { exitCodeOfSignal } from '../../cli/held-command.ts'
import { errorCodes, SignalboxError } from '../../kernel/error.ts'
import type { SignalListener } from '../../supervisor/signals.ts'
import { providerLabel, type LeaseAnswer, type Refusal } from '../api.ts'
import { releaseLease } from '../session.ts'
import { whyNotTaken } from './not-taken.ts'
import { Reporter } from './reporter.ts'
import {
  acquireRequest,
  groupRequest,
  outcomeFlag,
  type AcquireFlags,
  type AcquireRequest,
  type ReleaseFlags,
} from './request.ts'
import { withLease } from './run.ts'
import { answerJson } from './views.ts'

export interface AskSetting {
  readonly context: LeaseContext
  readonly listen: SignalListener
}

/** Not yet: ask again. */
const AGAIN = errorCodes.throttled.exit

/** @returns the exit code */
export async function acquire(
  provider: string | undefined,
  flags: AcquireFlags,
  { context, listen }: AskSetting,
): Promise<number> {
  const request = acquireRequest(provider, flags, context.env, 0)
  if (flags.wait === false) return askOnce(request, flags, context)
  const { stderr, clock } = context
  const reporter = new Reporter({ provider: request.provider, mode: request.report, stderr, clock })
  return withSignals(listen, (signal) =>
    withLease(
      { ...request, stopGraceMs: 0 },
      { context, where: flags },
      { reporter, signal },
      async (opened) => {
        if (opened.status === 'acquired') opened.lease.abandon()
        print(request, opened.answer, flags, context)
        return 0
      },
    ),
  )
}

/** @returns the exit code. @throws SignalboxError `conflict` when the lease is not, or was not to the end, this commit's */
export async function release(
  provider: string | undefined,
  flags: ReleaseFlags,
  { context, listen }: AskSetting,
): Promise<number> {
  const group = groupRequest(provider, flags, context.env)
  const outcome = outcomeFlag(flags.status)
  const { stderr, clock, random } = context
  const reporter = new Reporter({
    provider: group.provider,
    mode: flags.json === true ? 'json' : 'lines',
    stderr,
    clock,
  })
  return withSignals(listen, async (signal) => {
    const connection = await context.connect(flags)
    try {
      const onProgress = reporter.progress.bind(reporter)
      const api = connection.leases
      const answer = await releaseLease({ ...group, api, clock, random, outcome, signal, onProgress })
      const why = whyNotTaken(answer, outcome === 'success')
      if (why !== undefined) throw notReleased(group.provider, why)
      print(group, answer, flags, context)
      return 0
    } catch (error) {
      const ended = exitCodeOfSignal(error)
      if (ended === undefined) throw error
      return ended.exitCode
    } finally {
      reporter.close()
      await connection.close()
    }
  })
}

async function askOnce(request: AcquireRequest, flags: AcquireFlags, context: LeaseContext): Promise<number> {
  const connection = await context.connect(flags)
  try {
    const answer = await connection.leases.acquire(request.provider, request.request)
    print(request, answer, flags, context)
    const waits = answer.kind === 'refused' || answer.status === 'pending'
    if (waits && request.report === 'lines' && answer.reason !== undefined) {
      context.stderr.write(`${providerLabel(request.provider)}: ${answer.reason}\n`)
    }
    return waits ? AGAIN : 0
  } finally {
    await connection.close()
  }
}

function print(
  { provider }: Pick<AcquireRequest, 'provider'>,
  answer: LeaseAnswer | Refusal,
  { json }: { readonly json?: true },
  { stdout }: LeaseContext,
): void {
  const word = answer.kind === 'refused' ? answer.kind : answer.status
  stdout.write(json === true ? answerJson(provider, answer) : `${word}\n`)
}

function notReleased(provider: AcquireRequest['provider'], reason: string): SignalboxError {
  const label = providerLabel(provider)
  return new SignalboxError(
    'conflict',
    `${label}: this commit does not hold the lease, so nothing was released: ${reason}`,
  )
}

/** A signal ends the waiting. */
async function withSignals(
  listen: SignalListener,
  use: (signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const given = new AbortController()
  const giveBack = listen((name) =>
    given.abort(new SignalboxError('cancelled', `stopped by ${name}`, { details: { signal: name } })),
  )
  try {
    return await use(given.signal)
  } finally {
    giveBack()
  }
}
