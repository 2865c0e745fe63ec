/** Bad clients in plenty, against a sidecar on the embedded engine; `test:engines` sets them on one in front of ElasticMQ. */
import { describe } from 'vitest'
import { hostileStories } from '../support/messages/hostile.ts'
import { embedded } from '../support/messages/places.ts'

describe('bad clients of a sidecar', () => hostileStories(embedded))
