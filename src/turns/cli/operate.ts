/**
 * What operators do from the command line: pause, resume, drain, evict, set-permits, and the history. Each change names its
 * reason, which stands in the audit log and is shown to those it concerns.
 */
import type { Command } from 'commander'
import { wholeNumber } from '../../cli/inputs.ts'
import type { ConnectOptions } from '../../cli/context.ts'
import { table } from '../../cli/output.ts'
import { formatDuration } from '../../kernel/duration.ts'
import { SignalboxError } from '../../kernel/error.ts'
import {
  MAX_PERMITS,
  reason as reasonSchema,
  type PastHoldView,
  type TurnsApi,
  type TurnsOperations,
} from '../api.ts'
import { labelName } from './labels.ts'
import { queueArgument } from './run-request.ts'
import { printable, shortId } from '../../cli/text.ts'

type Turns = TurnsApi & TurnsOperations

export interface OperateFlags extends ConnectOptions {
  readonly json?: true
  readonly reason?: string
  readonly force?: true
  readonly limit?: string
}

/** Runs `use` with a connection and prints what it returns. */
export type Perform = (flags: OperateFlags, use: (turns: Turns) => Promise<string>) => Promise<void>

/**
 * @param command makes a sub-command with the options that all of them have
 * @param by who acts, for an engine without a server; a server knows who calls
 */
export function operatorCommands(command: (name: string) => Command, perform: Perform, by: string): void {
  for (const [name, state, what] of [
    ['pause', 'paused', 'Grant nothing and take nobody, until resumed; holders go on'],
    ['drain', 'draining', 'Take nobody new; who waits still gets its turn'],
    ['resume', 'open', 'Open a paused or draining queue'],
  ] as const) {
    command(name)
      .description(what)
      .argument('<queue>')
      .option('--reason <text>', state === 'open' ? 'why (default: resume)' : 'why; shown to those who wait')
      .action(async (text: string, flags: OperateFlags) => {
        const queue = queueArgument(text)
        const reason = state === 'open' && flags.reason === undefined ? 'resume' : reasonOf(flags)
        await perform(flags, async (turns) => {
          const { changed } = await turns.setState(queue, state, { reason, by })
          return said(
            flags,
            { queue, state, changed },
            `${queue}: ${changed ? 'now' : 'was already'} ${state}`,
          )
        })
      })
  }

  command('set-permits')
    .description('Change how many may hold at once; lowering it revokes nobody')
    .argument('<queue>')
    .argument('<number>')
    .option('--reason <text>', 'why')
    .action(async (text: string, number: string, flags: OperateFlags) => {
      const queue = queueArgument(text)
      const permits = wholeNumber(number, { flag: 'permits', min: 1, max: MAX_PERMITS })
      const reason = reasonOf(flags)
      await perform(flags, async (turns) => {
        const { changed } = await turns.setPermits(queue, permits, { reason, by })
        return said(
          flags,
          { queue, permits, changed },
          `${queue}: ${changed ? 'now' : 'had already'} ${permits} permits`,
        )
      })
    })

  command('evict')
    .description('End a member’s hold or wait; a holder’s permit is free once its work has stopped')
    .argument('<queue>')
    .argument('<member>', 'its id, or as much of it as `turn show` prints')
    .option('--reason <text>', 'why; shown to the member')
    .option(
      '--force',
      'free the permit at once, though the work may still run: only its fence keeps late writes away',
    )
    .action(async (text: string, member: string, flags: OperateFlags) => {
      const queue = queueArgument(text)
      const reason = reasonOf(flags)
      const force = flags.force === true
      await perform(flags, async (turns) => {
        const id = await memberOf(turns, queue, member)
        const { outcome } = await turns.evict(queue, id, { reason, by, force })
        const told = {
          evicted: 'evicted',
          ending:
            'must stop; its permit is free when it has left, at the latest when it was silent for its TTL',
          gone: 'is gone already',
        }
        return said(flags, { queue, id, outcome }, `${queue}: ${shortId(id)} ${told[outcome]}`)
      })
    })

  command('history')
    .description('Who held the queue, how long, and how it ended; newest first')
    .argument('<queue>')
    .option('--limit <number>', 'at most so many (default: 20)')
    .action(async (text: string, flags: OperateFlags) => {
      const queue = queueArgument(text)
      const limit =
        flags.limit === undefined ? 20 : wholeNumber(flags.limit, { flag: '--limit', min: 1, max: 1_000 })
      await perform(flags, async (turns) => {
        const history = await turns.history(queue, { limit })
        if (flags.json === true) return `${JSON.stringify(history)}\n`
        if (history.holds.length === 0) return `${queue}: nobody has held it in the last 30 days\n`
        return table([['FENCE', 'ID', 'WHO', 'HELD FOR', 'ENDED', 'HOW'], ...history.holds.map(row)])
      })
    })
}

function row(hold: PastHoldView): string[] {
  const note = hold.note === undefined ? '' : ` by ${printable(hold.note.by)}: ${printable(hold.note.reason)}`
  const who = printable(labelName(hold.labels) ?? '-')
  return [
    String(hold.fence),
    shortId(hold.id),
    who,
    formatDuration(hold.heldMs),
    hold.endedAt,
    `${hold.as}${note}`,
  ]
}

/** @throws SignalboxError `invalid_argument` */
function reasonOf(flags: OperateFlags): string {
  const parsed = reasonSchema.safeParse(flags.reason ?? '')
  if (parsed.success) return parsed.data
  throw new SignalboxError(
    'invalid_argument',
    '--reason: missing or longer than 500 characters; say why in a few words',
    {
      details: { field: 'reason' },
    },
  )
}

/** The member whose id is, or begins with, `text`. @throws SignalboxError `not_found`, `invalid_argument` */
async function memberOf(turns: Turns, queue: string, text: string): Promise<string> {
  const { holders, waiters, moreWaiters } = await turns.show(queue, { limit: 1_000 })
  const all = [...holders, ...waiters].map((m) => m.id)
  if (all.includes(text)) return text
  const found = all.filter((id) => id.startsWith(text))
  const [id] = found
  if (id !== undefined && found.length === 1) return id
  if (found.length > 1) {
    throw new SignalboxError(
      'invalid_argument',
      `member: '${text}' fits ${found.length} members of '${queue}'; write more of the id`,
    )
  }
  // Beyond what is listed, a whole id is taken as it is; the server knows.
  if (moreWaiters && /^[A-Za-z0-9_-]{8,64}$/.test(text)) return text
  throw new SignalboxError(
    'not_found',
    `queue '${queue}' has no member '${text}'; see signalbox turn show ${queue}`,
  )
}

function said(flags: OperateFlags, facts: object, line: string): string {
  return flags.json === true ? `${JSON.stringify(facts)}\n` : `${line}\n`
}
