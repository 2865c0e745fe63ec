import { EventEmitter } from 'node:events'
import { status } from '@grpc/grpc-js'
import { expect, it } from 'vitest'
import { ManualClock } from '../../kernel/manual-clock.ts'
import { Consumers } from './consume.ts'

it('ends a stream that nobody opens, so that it takes no place from others', async () => {
  const clock = new ManualClock()
  const consumers = new Consumers({ service: {} as never, clock })
  const call = new EventEmitter()
  const failed = new Promise<{ readonly code: number; readonly details: string }>((done) =>
    call.on('error', done),
  )
  consumers.serve(call as never)
  expect(consumers.open).toBe(1)
  await clock.advance(9_999)
  expect(consumers.open).toBe(1)
  await clock.advance(1)
  expect(await failed).toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: 'open: the first request did not come within 10 s; send it at once',
  })
  expect(consumers.open).toBe(0)
})
