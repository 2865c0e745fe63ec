/**
 * The embedded engines of a data directory, for a process that is not the server: as their owner, with a door for others
 * (`owner.sock`), or attached to the owner that lives.
 *
 * Invariants: a live owner is attached to, never competed with; who attaches survives the owner's restart; who owns lends
 * both ports to others for as long as it lives.
 */
import { resolve } from 'node:path'
import { sleep, type Clock } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import type { MessageQueue } from '../ports/message-queue.ts'
import type { Store } from '../ports/store.ts'
import type { Logger } from '../server/logger.ts'
import { ownerSocket } from './owner-socket.ts'

/** The engines, opened. `close` gives back what was opened, and never stops the owner. */
export interface OpenedEmbedded {
  readonly store: Store
  readonly messages: MessageQueue
  readonly mode: 'owner' | 'attached'
  /** For the log: which one was taken, and whose. */
  readonly facts: Readonly<Record<string, string>>
  close(): Promise<void>
}

export interface EmbeddedOptions {
  readonly directory: string
  readonly clock: Clock
  readonly random: Random
  /** May this process become the owner where there is none? */
  readonly mayOwn: boolean
  /** What others are told owns the directory: `signalbox sidecar`. */
  readonly command: string
  /** Told what goes wrong at the door; default: nobody. */
  readonly logger?: Logger
}

/** An owner has its lock before its socket, and keeps it longer; so long both together are waited for. */
const SETTLE_MS = 10_000
const RETRY_MS = 100
/** What calls at the door get to finish, when the owner closes. */
const FAREWELL_MS = 1_000

/**
 * @example
 * const { store, messages, close } = await openEmbedded({ directory: 'data', clock, random, mayOwn: true, command: 'signalbox sidecar' })
 * @throws SignalboxError `unavailable` when nobody owns the directory and this process may not; what opening the store as
 *   its owner throws (`store_owned` only for an owner that lets nobody attach); `permission_denied` of another user's directory
 */
export async function openEmbedded(options: EmbeddedOptions): Promise<OpenedEmbedded> {
  const { clock, mayOwn } = options
  const directory = resolve(options.directory)
  if (!mayOwn) {
    const socketPath = await ownerSocket(directory, clock)
    if (socketPath !== undefined) return attach(directory, socketPath, options)
    throw new SignalboxError(
      'unavailable',
      `no process owns the data directory ${directory}; start the server with 'signalbox serve --data-dir ${options.directory}', or set SIGNALBOX_URL`,
    )
  }
  for (const until = clock.monotonic() + SETTLE_MS; ; await sleep(clock, RETRY_MS)) {
    try {
      const socketPath = await ownerSocket(directory, clock, 0)
      if (socketPath !== undefined) return await attach(directory, socketPath, options)
      return await own(directory, options)
    } catch (error) {
      const passing = isSignalboxError(error, 'store_owned') || isSignalboxError(error, 'unavailable')
      if (!passing || clock.monotonic() >= until) throw error
    }
  }
}

async function attach(
  directory: string,
  socketPath: string,
  { clock, random }: EmbeddedOptions,
): Promise<OpenedEmbedded> {
  const [{ openAttachedMessages, openAttachedStore }, { readOwner }] = await Promise.all([
    import('../drivers/attached/index.ts'),
    import('../drivers/sqlite/index.ts'),
  ])
  const store = await openAttachedStore({ socketPath, clock, random })
  try {
    const messages = await openAttachedMessages({ socketPath, clock, random })
    const owner = readOwner(directory)
    const who = owner === undefined ? {} : { owner: `${owner.command} (process ${owner.pid})` }
    return {
      store,
      messages,
      mode: 'attached',
      facts: { dataDir: directory, mode: 'attached', ...who },
      async close() {
        await messages.close()
        await store.close()
      },
    }
  } catch (error) {
    await store.close()
    throw error
  }
}

async function own(directory: string, options: EmbeddedOptions): Promise<OpenedEmbedded> {
  const { clock, command } = options
  const [{ openSqlite, sqliteMessageQueue, sqliteStore }, { ownerDoor }, { Listeners }, { OwnerFace }] =
    await Promise.all([
      import('../drivers/sqlite/index.ts'),
      import('../server/owner-door.ts'),
      import('../server/stop.ts'),
      import('./owner-face.ts'),
    ])
  await using opened = new AsyncDisposableStack()
  const engine = await openSqlite({ directory, clock, owner: { command } })
  opened.defer(() => engine.close())
  const store = sqliteStore(engine)
  opened.defer(() => store.close())
  const messages = sqliteMessageQueue(engine)
  opened.defer(() => messages.close())
  const face = new OwnerFace({ ...options, engine: messages })
  opened.defer(() => face.close())
  const door = ownerDoor({ engine, store, messages }, { dataDir: directory, clock, answer: face.answer })
  const listeners = new Listeners([door.server], clock)
  opened.defer(() => listeners.stop(FAREWELL_MS))
  opened.defer(() => door.detach())
  await door.open()
  const running = opened.move()
  let closed: Promise<void> | undefined
  return {
    store,
    messages,
    mode: 'owner',
    facts: { dataDir: directory, mode: 'owner' },
    close: () => (closed ??= running.disposeAsync()),
  }
}
