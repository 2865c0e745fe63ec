/**
 * What the console says about queues, apart from how it is put on the page: names, ages, order, sums.
 * Shapes are those of `GET /api/v1/turns/{queue}` (src/turns/api.ts, `QueueView`).
 */
import { plural } from './text.js'

/** Said of a member by the program that joined for it; of no interest where a CI run has a name of its own. */
const MACHINE = ['host', 'user', 'pid']

/**
 * Who a member is: a title, an address to look closer, and the labels that are left.
 * @param {{ id: string, labels: Record<string, string> }} member
 */
export function who({ id, labels }) {
  const { name, repository, job, run, user, host, url } = labels
  const { title, said } = nameOf()
  const href = /^https?:\/\//.test(url ?? '') ? url : undefined
  const hidden = new Set([...said, ...(href === undefined ? [] : ['url'])])
  return {
    title: title ?? id,
    anonymous: title === undefined,
    href,
    rest: Object.entries(labels).filter(([key]) => !hidden.has(key)),
  }

  function nameOf() {
    if (name) return { title: name, said: ['name'] }
    if (repository) {
      const parts = [repository, job, run && `#${run}`].filter(Boolean)
      return { title: parts.join(' '), said: ['repository', 'job', 'run', ...MACHINE] }
    }
    if (user && host) return { title: `${user}@${host}`, said: ['user', 'host'] }
    if (host) return { title: host, said: ['host'] }
    if (user) return { title: user, said: ['user'] }
    const [first] = Object.keys(labels)
    return first === undefined ? { said: [] } : { title: labels[first], said: [first] }
  }
}

/** Is anybody in the queue, or is it not open? Then it has a card; else it is listed as free. */
export function isBusy(queue) {
  return queue.holders.length > 0 || queue.waiters.length > 0 || queue.state !== 'open'
}

/** Waiters as far as they are known: `12`, or `20+` when more wait than were sent. */
export function waitingCount(queue) {
  return queue.moreWaiters ? `${queue.waiters.length}+` : String(queue.waiters.length)
}

/** One sentence about all queues. */
export function summary(queues) {
  const holding = queues.reduce((sum, queue) => sum + queue.holders.length, 0)
  const waiting = queues.reduce((sum, queue) => sum + queue.waiters.length, 0)
  const more = queues.some((queue) => queue.moreWaiters) ? 'more than ' : ''
  if (queues.length === 0) return ''
  if (holding + waiting === 0) return `${plural(queues.length, 'queue')}, all free`
  return `${plural(queues.length, 'queue')}, ${plural(holding, 'holder')}, ${more}${waiting} waiting`
}

/** `1 of 3 permits`, said only where it is not plain. */
export function permitsText({ permits, holders }) {
  return permits === 1 ? '' : `${holders.length} of ${permits} permits`
}
