/** The message engine of a sidecar: one line each, whose module (and SDK) loads only when it is chosen. */
import type { Clock } from '../../kernel/clock.ts'
import type { Random } from '../../kernel/id.ts'
import type { MessageQueue } from '../../ports/message-queue.ts'
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
}

/** @throws SignalboxError `store_owned`, `store_newer`, `store_invalid`, `permission_denied`; `config_invalid` (no SDK) */
export async function openMessages(
  chosen: SidecarSettings['engine'],
  { clock, random }: Parts,
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
    })
    return { engine, facts: { engine: 'sqs' }, close: () => engine.close() }
  }
  const { openSqlite, sqliteMessageQueue } = await import('../../drivers/sqlite/index.ts')
  const { directory } = chosen
  const owner = await openSqlite({ directory, clock, owner: { command: 'signalbox sidecar' } })
  const engine = sqliteMessageQueue(owner)
  return {
    engine,
    facts: { engine: 'sqlite', dataDir: directory },
    async close() {
      await engine.close()
      await owner.close()
    },
  }
}
