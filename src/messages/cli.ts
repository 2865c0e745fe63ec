/** `signalbox messages …`: send, receive, peek, stats, redrive, purge, at a server or a sidecar. */
import { Command } from 'commander'
import type { MessagesContext, MessagesWhere } from '../cli/context.ts'
import { wholeNumber } from '../cli/inputs.ts'
import { table } from '../cli/output.ts'
import { printable } from '../cli/text.ts'
import { formatDuration, parseDuration } from '../kernel/duration.ts'
import { SignalboxError } from '../kernel/error.ts'
import type { MessagesApi, OutgoingView } from './api.ts'

interface Flags extends MessagesWhere {
  readonly json?: boolean
}

type Act = (api: MessagesApi) => Promise<string>

export function messagesCommands(context: MessagesContext): Command {
  const messages = new Command('messages').description('Send, receive and look at messages')
  const command = (usage: string, summary: string): Command =>
    messages
      .command(usage)
      .description(summary)
      .option(
        '--url <url>',
        'http(s)://…, grpc(s)://host:port or unix:/path of a sidecar (default: SIGNALBOX_URL, else APP_PORT, else the local server)',
      )
      .option(
        '--data-dir <directory>',
        'attach to the process that owns this directory (default: SIGNALBOX_DATA_DIR, ./data)',
      )
      .option('--tls-ca <file>', 'grpcs: check its certificate by this authority, PEM')
      .option('--json', 'print JSON')
  sending(command, context)
  receiving(command, context)
  looking(command, context)
  clearing(command, context)
  return messages
}

type Make = (usage: string, summary: string) => Command

function sending(command: Make, context: MessagesContext): void {
  command('send <queue> <body...>', 'Send messages, one for each body')
    .option('--delay <duration>', 'hide them so long first')
    .option('--group <id>', 'FIFO: their group')
    .option('--deduplication-id <id>', 'FIFO: send this one only once in five minutes')
    .option('--attribute <name=value>', 'a String attribute; may be given again', collect, [])
    .action(async (queue: string, bodies: string[], flags: Flags & SendFlags) => {
      if (flags.deduplicationId !== undefined && bodies.length > 1) {
        throw new SignalboxError('invalid_argument', '--deduplication-id: is of one message; give one body')
      }
      await act(context, flags, async (api) => {
        const ids: string[] = []
        for (let i = 0; i < bodies.length; i += 10) {
          const { results } = await api.send(
            queue,
            bodies.slice(i, i + 10).map((body) => outgoing(body, flags)),
          )
          for (const result of results) {
            if (result.status === 'failed') throw new SignalboxError(result.error.code, result.error.message)
            ids.push(result.messageId)
          }
        }
        return flags.json === true ? json({ sent: ids }) : `${ids.join('\n')}\n`
      })
    })
}

interface SendFlags {
  readonly delay?: string
  readonly group?: string
  readonly deduplicationId?: string
  readonly attribute: readonly string[]
}

function outgoing(body: string, { delay, group, deduplicationId, attribute }: SendFlags): OutgoingView {
  const attributes = Object.fromEntries(
    attribute.map((text) => {
      const [name = '', ...value] = text.split('=')
      return [name, { type: 'String', value: value.join('=') }]
    }),
  )
  return {
    body,
    ...(attribute.length === 0 ? {} : { attributes }),
    ...(delay === undefined ? {} : { delayMs: parseDuration(delay, '--delay') }),
    ...(group === undefined ? {} : { groupId: group }),
    ...(deduplicationId === undefined ? {} : { deduplicationId }),
  }
}

function receiving(command: Make, context: MessagesContext): void {
  command('receive <queue>', 'Receive messages; they stay hidden until their visibility ends')
    .option('--max <n>', 'so many at most, 1 to 10 (default: 1)')
    .option('--wait <duration>', 'wait for the first one, 20s at most (default: 0s)')
    .option('--visibility <duration>', "hide them so long (default: the queue's)")
    .option('--delete', 'delete them once they are printed')
    .action(async (queue: string, flags: Flags & ReceiveFlags) => {
      const request = {
        max: wholeNumber(flags.max ?? '1', { flag: '--max', min: 1, max: 10 }),
        ...(flags.wait === undefined ? {} : { waitMs: parseDuration(flags.wait, '--wait') }),
        ...(flags.visibility === undefined
          ? {}
          : { visibilityMs: parseDuration(flags.visibility, '--visibility') }),
      }
      await act(context, flags, async (api) => {
        const { messages } = await api.receive(queue, request)
        const text =
          flags.json === true
            ? json({ messages })
            : messages
                .map(({ body }) => `${context.stdout.isTTY === true ? printable(body) : body}\n`)
                .join('')
        context.stdout.write(text)
        if (flags.delete !== true || messages.length === 0) return ''
        const { results } = await api.delete(
          queue,
          messages.map(({ receipt }) => receipt),
        )
        const failed = results.find((result) => result.status === 'failed')
        if (failed !== undefined) throw new SignalboxError(failed.error.code, failed.error.message)
        return ''
      })
    })
}

interface ReceiveFlags {
  readonly max?: string
  readonly wait?: string
  readonly visibility?: string
  readonly delete?: boolean
}

function looking(command: Make, context: MessagesContext): void {
  command('stats <queue>', 'How many messages there are, and how old the oldest is').action(
    async (queue: string, flags: Flags) => {
      await act(context, flags, async (api) => {
        const stats = await api.stats(queue)
        if (flags.json === true) return json(stats)
        const { visible, inFlight, delayed, oldestAgeMs } = stats
        const oldest = oldestAgeMs === undefined ? '-' : formatDuration(oldestAgeMs)
        const counts = [visible, inFlight, delayed].map(String)
        return table([
          ['VISIBLE', 'IN FLIGHT', 'DELAYED', 'OLDEST'],
          [...counts, oldest],
        ])
      })
    },
  )
  command('peek <queue>', 'Look at messages without receiving them')
    .option('--limit <n>', 'so many at most, 1 to 100 (default: 10)')
    .action(async (queue: string, flags: Flags & { readonly limit?: string }) => {
      const limit = wholeNumber(flags.limit ?? '10', { flag: '--limit', min: 1, max: 100 })
      await act(context, flags, async (api) => {
        const page = await api.peek(queue, { limit })
        if (flags.json === true) return json(page)
        const rows = page.messages.map(({ messageId, state, receiveCount, sentAt, body }) => [
          messageId,
          state,
          String(receiveCount),
          formatDuration(context.clock.now() - sentAt),
          printable(body).slice(0, 60),
        ])
        return table([['ID', 'STATE', 'RECEIVED', 'AGE', 'BODY'], ...rows])
      })
    })
}

function clearing(command: Make, context: MessagesContext): void {
  command('redrive <queue>', 'Move messages out of a dead-letter queue, back to where they came from')
    .option('--to <queue>', 'there instead')
    .option('--rate <n>', 'so many a second at most')
    .option('--dry-run', 'move nothing, and say what would be moved')
    .action(async (queue: string, flags: Flags & RedriveFlags) => {
      const { to, dryRun, rate } = flags
      const request = {
        ...(to === undefined ? {} : { to }),
        ...(dryRun === true ? { dryRun } : {}),
        ...(rate === undefined ? {} : { rate: wholeNumber(rate, { flag: '--rate', min: 1, max: 100_000 }) }),
      }
      await act(context, flags, async (api) => {
        let moved = 0
        let skipped = 0
        let after: string | undefined
        do {
          const part = await api.redrive(queue, { ...request, ...(after === undefined ? {} : { after }) })
          moved += part.moved
          skipped += part.skipped
          after = part.next
        } while (after !== undefined)
        if (flags.json === true) return json({ moved, skipped, dryRun: dryRun === true })
        return `${dryRun === true ? 'would move' : 'moved'} ${moved}, ${dryRun === true ? 'would leave' : 'left'} ${skipped}\n`
      })
    })
  command('purge <queue>', 'Delete all messages of a queue')
    .option('--yes', 'really')
    .action(async (queue: string, flags: Flags & { readonly yes?: boolean }) => {
      if (flags.yes !== true) {
        throw new SignalboxError(
          'invalid_argument',
          `purge deletes every message of ${queue}; add --yes to do it`,
        )
      }
      await act(context, flags, async (api) => {
        await api.purge(queue)
        return flags.json === true ? json({ purged: queue }) : `purged ${queue}\n`
      })
    })
}

interface RedriveFlags {
  readonly to?: string
  readonly rate?: string
  readonly dryRun?: boolean
}

async function act(context: MessagesContext, { url, dataDir, tlsCa }: Flags, run: Act): Promise<void> {
  const connection = await context.connect({ url, dataDir, tlsCa })
  try {
    const text = await run(connection.messages)
    if (text !== '') context.stdout.write(text)
  } finally {
    await connection.close()
  }
}

function json(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value]
}
