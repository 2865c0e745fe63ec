/**
 * What takes its time, side by side: these races wait far more than they work. Each story says what it tells. The one that is
 * busy at first, two hundred joins, begins alone; the longest come first, since only a few run at once.
 */
import { afterAll, beforeAll, describe, it } from 'vitest'
import { endProcesses } from '../../support/processes.ts'
import { ENGINES } from './place.ts'
import { badWeather } from './stories/weather.ts'
import { besideReference } from './stories/beside-reference.ts'
import { cutOff } from './stories/cut-off.ts'
import { gatherCrowd, type Crowd } from './stories/joins.ts'

let crowd: Crowd
beforeAll(async () => {
  crowd = await gatherCrowd('DynamoDB', 6)
}, 180_000)
afterAll(endProcesses)

describe.concurrent('members without a server', () => {
  // One after the other they go on where nobody pushes: whoever is first looks once a second.
  it('have their turns in order when 200 join at once, 6 at a time, on DynamoDB', () => crowd.finish())
  it.each(ENGINES)('and jobs of the dynamo-q tool are never at work together, on %s', besideReference)
  it.each(ENGINES)('lose no place and no turn while three of ten requests fail, on %s', badWeather)
  it.each(ENGINES)(
    'whose network is cut stop work before the next one starts, and keep their place, on %s',
    cutOff,
  )
})
