/**
 * How the keys of message queues are read: `messages.queues`, from the environment as JSON; names as Amazon SQS allows them; and
 * where gRPC listens.
 */
import { z } from 'zod'
import { messageQueueName } from '../../messages/api.ts'
import { duration, integer, named, structure, toggle } from './values.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const MAX_RECEIVES = 1_000

const isQueueName = (text: string): boolean => messageQueueName.safeParse(text).success

export const queueName = () =>
  named(
    'queue name',
    '1 to 80 characters of A-Z a-z 0-9 _ -, and .fifo at the end of a FIFO queue',
    isQueueName,
  )

const deadLetter = z.strictObject({ queue: queueName(), maxReceives: integer(1, MAX_RECEIVES) })

const queue = z.preprocess(
  (given) => given ?? {}, // a name with nothing behind it: a queue of defaults
  z.strictObject({
    visibility: duration({ ms: 0 }, { ms: 12 * HOUR }).optional(),
    delay: duration({ ms: 0 }, { ms: 15 * MINUTE }).optional(),
    retention: duration({ ms: MINUTE }, { ms: 14 * DAY }).optional(),
    contentDeduplication: toggle().optional(),
    deadLetter: deadLetter.optional(),
  }),
)

const isFifo = (name: string): boolean => name.endsWith('.fifo')

const listed = z.record(z.string(), queue).superRefine((queues, context) => {
  const refuse = (path: PropertyKey[], message: string, shown?: string): void =>
    context.addIssue({ code: 'custom', path, message, params: { shown } })
  for (const [name, { contentDeduplication, deadLetter: dead }] of Object.entries(queues)) {
    if (!isQueueName(name)) {
      refuse(
        [name],
        'is not a queue name; write 1 to 80 characters of A-Z a-z 0-9 _ -, and .fifo at the end of a FIFO queue',
        name,
      )
    }
    if (contentDeduplication === true && !isFifo(name)) {
      refuse(
        [name, 'contentDeduplication'],
        'is for FIFO queues; let the name of this one end in .fifo, or leave it out',
      )
    }
    if (dead === undefined) continue
    if (isFifo(dead.queue) !== isFifo(name)) {
      refuse(
        [name, 'deadLetter', 'queue'],
        'is not of the same kind; write a FIFO queue (.fifo) for a FIFO queue, and another one otherwise',
      )
    } else if (comesBack(queues, name)) {
      refuse(
        [name, 'deadLetter', 'queue'],
        'leads back to where it started; write one that has no dead-letter queue',
      )
    }
  }
})

type Listed = Readonly<Record<string, z.output<typeof queue>>>

/** Do the dead-letter queues of this one go round in a circle that it is part of? */
function comesBack(queues: Listed, start: string): boolean {
  const seen = new Set<string>()
  for (let at = queues[start]?.deadLetter?.queue; at !== undefined && !seen.has(at);) {
    if (at === start) return true
    seen.add(at)
    at = queues[at]?.deadLetter?.queue
  }
  return false
}

export const queueList = () =>
  structure(
    {
      type: 'section of message queues',
      write:
        'one entry for each queue, name: { visibility, delay, retention, contentDeduplication, deadLetter: { queue, maxReceives } }, each as far as it differs from the defaults (30s, 0s, 4d, false, none)',
      example: '{ orders: { visibility: 2m, deadLetter: { queue: orders-dead, maxReceives: 5 } } }',
    },
    listed,
  )

export const awsProfile = () =>
  named(
    'profile',
    'the name of one in the AWS configuration files',
    (text) => /^\S{1,128}$/.test(text),
    'staging',
  )

export const pemFile = () => named('path', 'the path of a PEM file', () => true, '/etc/signalbox/tls.pem')

/** A port, `auto` or `off`. */
export const grpcPort = () =>
  named(
    'gRPC port',
    'a number from 0 to 65535, auto or off',
    (text) => text === 'auto' || text === 'off' || (/^\d{1,5}$/.test(text) && Number(text) <= 65_535),
  )
