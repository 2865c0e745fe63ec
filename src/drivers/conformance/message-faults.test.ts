import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { seededRandom } from '../../kernel/id.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import { openSqlite, sqliteMessageQueue } from '../sqlite/index.ts'
import { faultyMessages, type FaultyMessages } from './message-faults.ts'

async function withFaults(test: (faulty: FaultyMessages) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'signalbox-'))
  const engine = await openSqlite({ directory, clock: new ManualClock() })
  const faulty = faultyMessages(sqliteMessageQueue(engine), seededRandom(1))
  await faulty.messages.declareQueue('q')
  await test(faulty)
  await faulty.messages.close()
  await engine.close()
  rmSync(directory, { recursive: true })
}

it('applies what is lost after, and nothing else that fails', async () => {
  await withFaults(async (faulty) => {
    const { messages } = faulty
    faulty.next('send', 'throttled', 'unavailable', 'lostBefore', 'lostAfter', 'none')
    const codes: string[] = []
    for (let i = 0; i < 5; i++) {
      const sent = messages.send('q', [{ body: String(i) }])
      codes.push(
        await sent.then(
          () => 'sent',
          (error: { code: string }) => error.code,
        ),
      )
    }
    expect(codes).toEqual(['throttled', 'unavailable', 'outcome_unknown', 'outcome_unknown', 'sent'])
    const received = await messages.receive('q', { max: 10 })
    expect(received.map(({ body }) => body)).toEqual(['3', '4'])
  })
})

it('draws faults by the plan', async () => {
  await withFaults(async (faulty) => {
    faulty.plan = { throttled: 0.5 }
    const calls = Array.from({ length: 200 }, () => faulty.messages.stats('q'))
    const failed = (await Promise.allSettled(calls)).filter(({ status }) => status === 'rejected').length
    expect(failed).toBeGreaterThan(60)
    expect(failed).toBeLessThan(140)
    faulty.plan = {}
    await faulty.messages.stats('q')
  })
})
