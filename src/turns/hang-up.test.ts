/** A caller that hung up is not waited for by what it asks next. */
import { expect, it } from 'vitest'
import { memoryDatabase } from '../drivers/memory/index.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { createTurnsService } from './service.ts'
import { newId, settled } from './testing/world.ts'

it('leaves at once although its join was about to be tried again', async () => {
  const clock = new ManualClock()
  const random = seededRandom(1)
  const store = memoryDatabase().connect({ clock, random })
  const turns = createTurnsService({ store, clock, random, serverless: true })
  const waiting = await settled(clock, turns.join('deploy', { id: newId() }))
  expect(waiting.state).toBe('holding')

  store.faults.plan = { conflict: 1 }
  const id = newId()
  const hangUp = new AbortController()
  const join = turns.join('deploy', { id }, hangUp.signal)
  const refused = expect(join).rejects.toThrow('the caller hung up')
  // By now the next attempt is seconds away.
  for (let ms = 0; ms < 20_000; ms += 50) await clock.advance(50)
  store.faults.plan = {}
  hangUp.abort(new Error('the caller hung up'))
  const left = turns.leave('deploy', id)
  await clock.advance(50)
  expect(await settled(clock, left)).toEqual({ outcome: 'gone' })
  await refused
  await turns.close()
})
