import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { seededRandom } from '../../kernel/id.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import type { MessageQueue } from '../../ports/message-queue.ts'
import { expectMessageSuites, messageConformance } from '../conformance/message-suite.ts'
import { openSqlite, sqliteMessageQueue } from '../sqlite/index.ts'
import { attachMessageHost, openAttachedMessages } from './index.ts'
import { serveOn } from './testing/owner.ts'

messageConformance('attached to sqlite', async () => {
  const clock = new ManualClock()
  const directory = mkdtempSync(join(tmpdir(), 'signalbox-'))
  const socketPath = join(directory, 'owner.sock')
  const openOwner = async () => {
    const engine = await openSqlite({ directory, clock })
    const messages = sqliteMessageQueue(engine)
    const owner = await serveOn(socketPath, (server) => attachMessageHost(server, messages))
    return {
      stop: async () => {
        await owner.stop()
        await messages.close()
        await engine.close()
      },
    }
  }
  const attach = (): Promise<MessageQueue> =>
    openAttachedMessages({ socketPath, clock, random: seededRandom(1) })
  let owner = await openOwner()
  const attached = [await attach()]
  /** What was asked before is at the engine, and what it answered is here. */
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 3; i++) {
      for (const messages of attached) await messages.listQueues().catch(() => undefined)
      await clock.settle()
    }
  }
  return {
    messages: attached[0]!,
    advance: async (ms) => {
      await settle()
      await clock.advance(ms)
      await settle()
    },
    reopen: async () => {
      await owner.stop()
      owner = await openOwner()
      attached.push(await attach())
      return attached.at(-1)!
    },
    close: async () => {
      for (const messages of attached) await messages.close()
      await owner.stop()
      rmSync(directory, { recursive: true })
    },
  }
})

expectMessageSuites(1)
