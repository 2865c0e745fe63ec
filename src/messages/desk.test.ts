import { expect, it } from 'vitest'
import { ManualClock } from '../kernel/manual-clock.ts'
import { Desk } from './desk.ts'
import { MessagesService } from './service.ts'
import { FakeQueue } from './testing/fake-queue.ts'

it('a receive whose caller hangs up before its answer is no attempt', async () => {
  const clock = new ManualClock()
  const engine = new FakeQueue({ clock })
  const service = new MessagesService({
    engine,
    clock,
    random: { next: () => 0.5 } as never,
    defaultQueue: 'q',
  })
  await service.send('q', [{ body: 'a' }])
  const caller = new AbortController()
  const desk = new Desk(service, clock, async () => caller.abort(new Error('gone')))
  await expect(desk.receive('q', { signal: caller.signal })).rejects.toThrow('gone')
  await desk.settled()
  expect(await service.receive('q', {})).toMatchObject([{ body: 'a', receiveCount: 1 }])
})
