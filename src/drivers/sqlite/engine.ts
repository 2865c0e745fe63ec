/**
 * An owned data file: the connection, its group commit and the owner's note, for all ports that share them.
 *
 * Invariant: the note is written after the lock was got and removed before it is let go (see `owner.ts`).
 */
import { basename, dirname, join, resolve } from 'node:path'
import type { Clock } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import type { ConnectionFacts } from './connection.ts'
import { openDatabase, type Database } from './database.ts'
import { GroupCommit } from './group-commit.ts'
import {
  describeOwner,
  ownerFile,
  readOwnerFile,
  removeOwnerFile,
  writeOwnerFile,
  type Owner,
} from './owner.ts'

/** The data file of a data directory. */
export const DATA_FILE = 'signalbox.db'
const LOCK_WAIT_MS = 2_000

/** What the owner tells others about itself. */
export type OwnerFacts = Partial<Pick<Owner, 'command' | 'url' | 'socket'>>

export type SqliteOptions = ({ readonly directory: string } | { readonly file: string }) & {
  readonly clock: Clock
  /** False: a transaction for each commit, for comparison. Default true. */
  readonly groupCommit?: boolean
  readonly owner?: OwnerFacts
  /** How long to wait for the lock of a predecessor that may just be going; default 2000. */
  readonly lockWaitMs?: number
}

export interface SqliteFacts extends ConnectionFacts {
  readonly file: string
  /** Transactions made durable since the start. */
  readonly transactions: number
  /** Commits and other submissions answered in them. */
  readonly commits: number
}

/** What the ports on one data file share. */
export interface SqliteEngine {
  readonly database: Database
  readonly group: GroupCommit<Database>
  readonly clock: Clock
  /** Tells others more about the owner, once its addresses are known. */
  announce(facts: OwnerFacts): void
  facts(): SqliteFacts
  /** Finishes what was submitted, writes the log back, lets the lock go. Idempotent. Close the ports first. */
  close(): Promise<void>
}

/**
 * Becomes the owner of a data directory (or file).
 * @throws SignalboxError `store_owned`, `store_newer`, `store_invalid`, `permission_denied`, `unavailable`
 */
export async function openSqlite(options: SqliteOptions): Promise<SqliteEngine> {
  const { clock } = options
  const inDirectory = 'directory' in options
  const file = resolve(inDirectory ? join(options.directory, DATA_FILE) : options.file)
  const note = inDirectory ? ownerFile(dirname(file)) : `${file}.owner.json`
  const database = await openDatabase(file, clock, options.lockWaitMs ?? LOCK_WAIT_MS)
  if (database === undefined) throw owned(dirname(file), readOwnerFile(note))

  const group = new GroupCommit(database, { grouped: options.groupCommit !== false })
  let owner: Owner = {
    pid: process.pid,
    command: basename(process.argv[1] ?? 'node'),
    startedAt: new Date(clock.now()).toISOString(),
  }
  const announce = (facts: OwnerFacts): void => {
    owner = { ...owner, ...facts }
    writeOwnerFile(note, owner)
  }
  announce(options.owner ?? {})

  const release = async (): Promise<void> => {
    await group.close()
    removeOwnerFile(note)
    database.close()
  }
  let closed: Promise<void> | undefined
  return {
    database,
    group,
    clock,
    announce: (facts) => {
      if (closed === undefined) announce(facts)
    },
    facts: () => ({ file, ...database.facts, ...group.facts }),
    close: () => (closed ??= release()),
  }
}

function owned(directory: string, owner: Owner | undefined): SignalboxError {
  const talk = owner?.url === undefined ? '' : `talk to it (SIGNALBOX_URL=${owner.url}), `
  return new SignalboxError(
    'store_owned',
    `${directory} is owned by ${describeOwner(owner)}; ${talk}stop it or choose another data directory`,
    { details: owner === undefined ? { directory } : { directory, ...owner } },
  )
}
