/** The sidecar as a process on what people run in place of SQS: the same promises to its clients as on every engine. */
import { describe } from 'vitest'
import { startElasticmq } from '../support/engines/elasticmq.ts'
import { startMoto } from '../support/engines/moto.ts'
import { namedSqs, type SqsEngine } from '../support/engines/sqs.ts'
import { deliveryStories } from '../support/messages/deliveries.ts'
import { endingStories } from '../support/messages/endings.ts'
import { hostileStories } from '../support/messages/hostile.ts'
import { onSqs } from '../support/messages/places.ts'

const named = namedSqs()
/** How each is started, and how many messages of a long queue it bears: moto reads the whole queue at each request. */
const engines: readonly (readonly [string, () => Promise<SqsEngine>, number])[] =
  named === undefined
    ? [
        ['ElasticMQ', startElasticmq, 1_000],
        ['moto', startMoto, 150],
      ]
    : [[named.endpoint, () => Promise.resolve(named), 1_000]]

describe.each(engines)('signalbox sidecar on %s', (_, start, many) => {
  describe.concurrent('while it runs', () => deliveryStories(() => onSqs(start), many))
  describe('when something ends', () => endingStories(() => onSqs(start)))
})

describe('bad clients of a sidecar', () => {
  hostileStories(() => onSqs(() => (named === undefined ? startElasticmq() : Promise.resolve(named))), 1_000)
})
