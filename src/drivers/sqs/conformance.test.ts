import { afterAll, beforeAll, describe } from 'vitest'
import { startFauxqsEngine } from '../../../test/support/engines/fauxqs.ts'
import { messageTarget, namedSqs, type SqsEngine } from '../../../test/support/engines/sqs.ts'
import { expectMessageSuites, messageConformance } from '../conformance/message-suite.ts'

let engine: SqsEngine
beforeAll(async () => {
  engine = namedSqs() ?? (await startFauxqsEngine())
})
afterAll(() => engine.stop())

// Its tests mostly wait, each at a queue of its own.
describe.concurrent('at the same time', () => messageConformance('sqs', () => messageTarget(engine)))

expectMessageSuites(1)
