/** Names of jobs and ids, checked where they come in: they become keys of records, attributes of messages and parts of URLs. */
import { SignalboxError } from '../kernel/error.ts'
import { checkQueueName, isFifoName } from '../ports/message-checks.ts'

const JOB_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
const JOB_ID = /^[A-Za-z0-9._:@/-]{1,100}$/
const DEAD = '-dead'
const FIFO = '.fifo'

/** @throws SignalboxError `invalid_argument` */
export function checkJobName(name: string): void {
  if (typeof name === 'string' && JOB_NAME.test(name)) return
  throw new SignalboxError(
    'invalid_argument',
    `a job's name has 1 to 64 letters, digits and ._-, and begins with a letter or digit, got ${JSON.stringify(name)}`,
  )
}

/** @throws SignalboxError `invalid_argument` */
export function checkJobId(id: string, at: string): void {
  if (typeof id === 'string' && JOB_ID.test(id)) return
  throw new SignalboxError(
    'invalid_argument',
    `${at}: an id has 1 to 100 letters, digits and ._:@/-, got ${JSON.stringify(id)}`,
  )
}

/** Jobs' queues leave room for the name of their dead-letter queue. @throws SignalboxError `invalid_argument` */
export function checkJobQueue(queue: string, at: string): void {
  checkQueueName(queue, `${at}: queue`)
  checkQueueName(deadQueueOf(queue), `${at}: the name of its dead-letter queue`)
}

/** `votes` → `votes-dead`, `votes.fifo` → `votes-dead.fifo`. */
export function deadQueueOf(queue: string): string {
  return isFifoName(queue) ? `${queue.slice(0, -FIFO.length)}${DEAD}${FIFO}` : `${queue}${DEAD}`
}

/** The id of the run of a unique job. */
export function runIdOf(job: string, id: string): string {
  return `${job}:${id}`
}
