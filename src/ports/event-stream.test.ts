import { expect, it } from 'vitest'
import { ManualClock } from '../kernel/manual-clock.ts'
import { streamSnapshots, type StreamReply } from './event-stream.ts'

it('leaves nothing behind for a client that hung up while the answer was being prepared', () => {
  const clock = new ManualClock()
  let listening = 0
  const raw: StreamReply['raw'] = {
    writeHead: () => expect.unreachable('it has gone'),
    write: () => expect.unreachable('it has gone'),
    end: () => undefined,
    destroy: () => undefined,
    writableNeedDrain: false,
    closed: true,
    on: () => undefined,
    once: () => undefined,
  }
  streamSnapshots(
    { hijack: () => undefined, getHeaders: () => ({}), raw },
    {
      clock,
      onChange: () => {
        listening++
        return () => listening--
      },
      snapshot: async () => ({ event: 'x', data: 1 }),
    },
  )
  expect([listening, clock.pendingTimers]).toEqual([0, 0])
})
