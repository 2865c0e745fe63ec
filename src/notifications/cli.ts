/**
 * `signalbox notifications …`: what waits for whom, what was given up, and whether a channel works, at a server.
 *
 * Invariants: every input is checked before the first call; results go to standard output; failures are thrown and printed by the
 * program as one line with the exit code of their error code.
 */
import { Command } from 'commander'
import type { ConnectOptions } from '../cli/context.ts'
import { wholeNumber } from '../cli/inputs.ts'
import type { NotificationsContext } from '../cli/notifications-context.ts'
import { SignalboxError } from '../kernel/error.ts'
import {
  channelName,
  deliveryId,
  type DeliveryFilter,
  type DeliveryRow,
  type NotificationsApi,
} from './api.ts'
import { channelsText, deliveriesText, deliveryText } from './cli/views.ts'

interface Flags extends Pick<ConnectOptions, 'url' | 'dataDir'> {
  readonly json?: true
}
interface ListFlags extends Flags {
  readonly givenUp?: true
  readonly channel?: string
  readonly limit?: string
}

/** A server knows who calls. */
const BY = 'the command line'
const DEFAULT_LIMIT = 50

export function notificationsCommands(context: NotificationsContext): Command {
  const notifications = new Command('notifications').description(
    'Look at what waits for its receiver, retry and discard it, test channels',
  )
  const command = (usage: string, summary: string): Command =>
    whereOptions(notifications.command(usage), summary)
  command('list', 'List notifications that wait for their receiver, or were given up')
    .option('--given-up', 'those that are not tried any more; they are kept for 30 days')
    .option('--channel <name>', 'only for this channel')
    .option('--limit <number>', `at most so many (default: ${DEFAULT_LIMIT})`)
    .action(async (flags: ListFlags) => {
      const filter = filterOf(flags)
      await act(context, flags, async (api) => {
        const list = await api.list(filter)
        return flags.json === true ? json(list) : deliveriesText(list, context.clock.now())
      })
    })
  command('channels', 'List the channels, and how each fares').action(async (flags: Flags) => {
    await act(context, flags, async (api) => {
      const channels = await api.channels()
      return flags.json === true ? json({ channels }) : channelsText(channels, context.clock.now())
    })
  })
  command('show <id>', 'Show one notification: what it says, and why it was not taken').action(
    async (text: string, flags: Flags) => {
      const id = idArgument(text)
      await act(context, flags, async (api) => {
        const found = await api.get(id)
        return flags.json === true ? json(found) : deliveryText(found, context.clock.now())
      })
    },
  )
  command('test <channel>', 'Send a test message now').action(async (text: string, flags: Flags) => {
    const channel = channelArgument(text)
    await act(context, flags, async (api) => {
      const { delivered, error, ms } = await api.test(channel, { by: BY })
      if (delivered)
        return flags.json === true ? json({ channel, delivered, ms }) : `${channel}: taken in ${ms} ms\n`
      throw new SignalboxError(
        'unavailable',
        `channel '${channel}' did not take the test: ${error ?? 'no reason given'}`,
      )
    })
  })
  command('retry [id...]', 'Try notifications at once, also those that were given up')
    .option('--given-up', 'all that were given up (1,000 at most)')
    .option('--channel <name>', 'with --given-up: only for this channel')
    .action(async (texts: string[], flags: ListFlags) => {
      const ids = texts.map(idArgument)
      const all = flags.givenUp === true
      if (all === ids.length > 0)
        throw new SignalboxError('invalid_argument', 'name notifications, or write --given-up')
      const filter = { ...filterOf(flags), limit: 1_000 }
      await act(context, flags, async (api) => {
        const rows = await changed(
          all ? (await api.list(filter)).deliveries.map(({ id }) => id) : ids,
          (id) => api.retry(id, { by: BY }),
        )
        if (flags.json === true) return json({ deliveries: rows })
        return rows.length === 0
          ? 'There is nothing to retry.\n'
          : rows.map(({ id }) => `${id}: tried again\n`).join('')
      })
    })
  command('discard <id...>', 'Do not deliver notifications any more').action(
    async (texts: string[], flags: Flags) => {
      const ids = texts.map(idArgument)
      await act(context, flags, async (api) => {
        for (const id of ids) await api.discard(id, { by: BY })
        return flags.json === true ? json({ discarded: ids }) : ids.map((id) => `${id}: discarded\n`).join('')
      })
    },
  )
  return notifications
}

async function changed(
  ids: readonly string[],
  change: (id: string) => Promise<DeliveryRow>,
): Promise<readonly DeliveryRow[]> {
  const rows: DeliveryRow[] = []
  for (const id of ids) rows.push(await change(id))
  return rows
}

function filterOf({ givenUp, channel, limit }: ListFlags): DeliveryFilter {
  return {
    limit: wholeNumber(limit ?? String(DEFAULT_LIMIT), { flag: '--limit', min: 1, max: 1_000 }),
    ...(givenUp === true ? { state: 'given_up' as const } : {}),
    ...(channel === undefined ? {} : { channel: channelArgument(channel) }),
  }
}

function idArgument(text: string): string {
  if (deliveryId.safeParse(text).success) return text
  throw new SignalboxError(
    'invalid_argument',
    `notification '${text.slice(0, 40)}': is not an id; write the 15 digits that 'signalbox notifications list' shows`,
  )
}

function channelArgument(text: string): string {
  if (channelName.safeParse(text).success) return text
  throw new SignalboxError(
    'invalid_argument',
    `channel '${text.slice(0, 70)}': is not a name; 'signalbox notifications channels' shows those there are`,
  )
}

function whereOptions(command: Command, summary: string): Command {
  return command
    .description(summary)
    .option('--url <url>', 'the server (default: SIGNALBOX_URL)')
    .option(
      '--data-dir <directory>',
      'the server that owns this directory (default: SIGNALBOX_DATA_DIR, ./data)',
    )
    .option('--json', 'print JSON')
}

async function act(
  context: NotificationsContext,
  flags: Flags,
  run: (api: NotificationsApi) => Promise<string>,
): Promise<void> {
  const connection = await context.connect(flags)
  try {
    context.stdout.write(await run(connection.notifications))
  } finally {
    await connection.close()
  }
}

function json(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}
