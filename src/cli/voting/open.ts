/** The engines of the voting service: its ledger, and the queue between its API and its workers. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../kernel/clock.ts'
import type { Random } from '../../kernel/id.ts'
import type { JobsConnection } from '../../jobs/api.ts'
import { SignalboxError } from '../../kernel/error.ts'
import type { Logger } from '../../server/logger.ts'
import type { VoteLedger } from '../../voting/ledger.ts'
import type { VotingEngine } from './settings.ts'

export interface Parts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export interface OpenedVoting {
  readonly ledger: VoteLedger
  readonly jobs: JobsConnection
  /** Where they are, for the log. */
  readonly facts: Readonly<Record<string, string>>
  close(): Promise<void>
}

interface OpenOptions {
  /** May this process own the data directory? Otherwise it attaches to its owner. */
  readonly mayOwn: boolean
  readonly command: string
}

/** @throws SignalboxError `unavailable` (nobody owns the directory), `store_owned`, `config_invalid` (no SDK), … */
export async function openVoting(
  engine: VotingEngine,
  parts: Parts,
  options: OpenOptions,
): Promise<OpenedVoting> {
  return engine.kind === 'aws' ? openAws(engine, parts) : openDirectory(engine.directory, parts, options)
}

/**
 * Whoever only looks must not make a data directory, and find that all is well in it.
 * @throws SignalboxError `not_found`
 */
export async function dataIsThere(engine: VotingEngine): Promise<void> {
  if (engine.kind !== 'embedded') return
  const { DATA_FILE } = await import('../../drivers/sqlite/index.ts')
  if (existsSync(join(engine.directory, DATA_FILE))) return
  throw new SignalboxError(
    'not_found',
    `there is no data of Signalbox in ${engine.directory}; name its directory with --data-dir`,
  )
}

async function openDirectory(directory: string, parts: Parts, options: OpenOptions): Promise<OpenedVoting> {
  const [{ openEmbedded }, { recordLedger }] = await Promise.all([
    import('../embedded.ts'),
    import('../../voting/ledger/records.ts'),
  ])
  const opened = await openEmbedded({ directory, ...parts, ...options })
  const { store, messages, facts } = opened
  const { clock, random } = parts
  return {
    ledger: recordLedger(store),
    jobs: { engine: messages, store, clock, random },
    facts,
    close: () => opened.close(),
  }
}

async function openAws(
  { region, dynamodb, sqs }: Extract<VotingEngine, { kind: 'aws' }>,
  { clock, random }: Parts,
): Promise<OpenedVoting> {
  const [{ openSqsMessages }, { openDynamodbLedger }] = await Promise.all([
    import('../../drivers/sqs/index.ts'),
    import('../../voting/ledger/dynamodb/index.ts'),
  ])
  const common = { clock, random, ...(region === undefined ? {} : { region }) }
  const ledger = await openDynamodbLedger({
    ...common,
    ...(dynamodb === undefined ? {} : { endpoint: dynamodb }),
  })
  const messages = await openSqsMessages({ ...common, ...(sqs === undefined ? {} : { endpoint: sqs }) })
  return {
    ledger,
    jobs: { engine: messages, clock, random },
    facts: {
      engine: 'dynamodb+sqs',
      ...(region === undefined ? {} : { region }),
      ...(dynamodb === undefined ? {} : { dynamodb }),
      ...(sqs === undefined ? {} : { sqs }),
    },
    async close() {
      await messages.close()
      await ledger.close()
    },
  }
}
