import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ManualClock } from '../../../kernel/manual-clock.ts'
import { expectMessageSuites, messageConformance } from '../../conformance/message-suite.ts'
import { openSqlite, sqliteMessageQueue } from '../index.ts'

for (const groupCommit of [true, false]) {
  messageConformance(groupCommit ? 'sqlite' : 'sqlite with a transaction for each call', async () => {
    const clock = new ManualClock()
    const directory = mkdtempSync(join(tmpdir(), 'signalbox-'))
    let engine = await openSqlite({ directory, clock, groupCommit })
    let messages = sqliteMessageQueue(engine)
    const close = async (): Promise<void> => {
      await messages.close()
      await engine.close()
    }
    return {
      messages,
      advance: (ms) => clock.advance(ms),
      reopen: async () => {
        await close()
        engine = await openSqlite({ directory, clock, groupCommit })
        messages = sqliteMessageQueue(engine)
        return messages
      },
      close: async () => {
        await close()
        rmSync(directory, { recursive: true })
      },
    }
  })
}

expectMessageSuites(2)
