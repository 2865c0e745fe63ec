/**
 * The message engine of a sidecar: one line each, whose module (and SDK) loads only when it is chosen. The embedded one belongs to
 * the live owner of the data directory, or else to this process.
 */
import type { Clock } from '../../kernel/clock.ts'
import type { Random } from '../../kernel/id.ts'
import type { MessageQueue } from '../../ports/message-queue.ts'
import type { Logger } from '../../server/logger.ts'
import type { SidecarSettings } from './settings.ts'

export interface OpenedMessages {
  readonly engine: MessageQueue
  /** Where it is, for the log. */
  readonly facts: Readonly<Record<string, string>>
  close(): Promise<void>
}

interface Parts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Told of each request to an engine in the cloud. */
  readonly onRequest?: ((request: { readonly operation: string }) => void) | undefined
}

/** @throws SignalboxError `store_owned`, `store_newer`, `store_invalid`, `permission_denied`; `config_invalid` (no SDK) */
export async function openMessages(
  chosen: SidecarSettings['engine'],
  { clock, random, logger, onRequest }: Parts,
): Promise<OpenedMessages> {
  if (chosen.kind === 'sqs') {
    const { openSqsMessages } = await import('../../drivers/sqs/index.ts')
    const { region, profile, endpoint, credentials } = chosen
    const engine = await openSqsMessages({
      clock,
      random,
      ...(region === undefined ? {} : { region }),
      ...(profile === undefined ? {} : { profile }),
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(credentials === undefined ? {} : { credentials }),
      ...(onRequest === undefined ? {} : { onRequest }),
    })
    return { engine, facts: { engine: 'sqs' }, close: () => engine.close() }
  }
  const { openEmbedded } = await import('../embedded.ts')
  const { directory } = chosen
  const command = 'signalbox sidecar'
  const opened = await openEmbedded({ directory, clock, random, mayOwn: true, command, logger })
  return {
    engine: opened.messages,
    facts: { engine: 'sqlite', ...opened.facts },
    close: () => opened.close(),
  }
}
