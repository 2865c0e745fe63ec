/**
 * The page of turn queues: keeps a live picture of them (server-sent events) and lets ages tick in between.
 */
/* oxlint-disable eslint/no-restricted-globals, eslint/no-restricted-properties -- a page has no Clock but the browser's */
import { $, announcer, copies, follow, fromTemplate, part, setText, sync, textElement } from './page.js'
import { age, plural } from './text.js'
import { isBusy, permitsText, summary, waitingCount, who } from './view.js'

/** Waiters shown of a queue until one asks for all. */
const FIRST_WAITERS = 6

/** How far the server's clock is ahead of this one. */
let ahead = 0
let queues
/** Queues whose waiters are all shown. */
const unfolded = new Set()

const say = announcer($('said'))

follow('/api/v1/turns', 'queues', (data) => {
  if (data.now !== undefined) ahead = Date.parse(data.now) - Date.now()
  queues = data.queues
  render()
})
setInterval(tick, 1_000)
$('filter').addEventListener('input', render)
copies($('copy'))

function render() {
  if (queues === undefined) return
  const wanted = $('filter').value.trim().toLowerCase()
  const shown = queues.filter((queue) => queue.queue.toLowerCase().includes(wanted))
  const idle = shown.filter((queue) => !isBusy(queue))
  $('empty').hidden = queues.length > 0
  $('no-match').hidden = queues.length === 0 || shown.length > 0
  $('filter-box').hidden = queues.length < 8 && wanted === ''
  $('idle').hidden = idle.length === 0
  sync($('queues'), shown.filter(isBusy), (queue) => queue.queue, newQueue, fillQueue)
  sync(
    $('idle-list'),
    idle,
    (queue) => queue.queue,
    () => document.createElement('li'),
    fillIdle,
  )
  saySummary()
  tick()
}

/** The sums, for eyes at once, for ears now and then. */
function saySummary() {
  const text = summary(queues)
  setText($('summary'), text)
  say(text)
}

function newQueue(queue) {
  const element = fromTemplate('queue-template')
  const id = `queue-${queue.queue}`
  element.setAttribute('aria-labelledby', id)
  const title = element.querySelector('h2')
  title.id = id
  title.textContent = queue.queue
  part(element, 'unfold').addEventListener('click', () => {
    if (!unfolded.delete(queue.queue)) unfolded.add(queue.queue)
    render()
  })
  return element
}

function fillQueue(element, queue) {
  const { holders, waiters, permits, state } = queue
  setText(part(element, 'state'), state === 'open' ? '' : state)
  part(element, 'state').dataset.state = state
  setText(part(element, 'permits-text'), permitsText(queue))
  part(element, 'permits').hidden = permits === 1
  const slots = permits > 1 && permits <= 12 ? permits : 0
  sync(
    part(element, 'slots'),
    [...Array(slots).keys()],
    String,
    () => document.createElement('i'),
    (slot, n) => slot.classList.toggle('taken', n < holders.length),
  )
  const [holderList, waiterList] = [part(element, 'holders'), part(element, 'waiters')]
  part(element, 'holders-title').hidden = holders.length === 0
  part(element, 'nobody').hidden = holders.length > 0
  part(element, 'nobody').textContent = waiters.length > 0 ? 'Nobody has the turn yet.' : 'Nobody is here.'
  part(element, 'waiters-title').hidden = waiters.length === 0
  setText(part(element, 'waiters-title'), `Waiting · ${waitingCount(queue)}`)
  sync(holderList, holders, (holder) => holder.id, newMember, fillHolder)
  const listed = unfolded.has(queue.queue) ? waiters : waiters.slice(0, FIRST_WAITERS)
  sync(waiterList, listed, (waiter) => waiter.id, newMember, fillWaiter)
  fillFold(element, queue, listed.length)
}

/** The line below the waiters: unfolds them, and says when there are more than the server sent. */
function fillFold(element, { queue, waiters, moreWaiters }, listed) {
  const unfold = part(element, 'unfold')
  unfold.hidden = waiters.length <= FIRST_WAITERS
  unfold.setAttribute('aria-expanded', String(listed === waiters.length))
  setText(unfold, listed < waiters.length ? `Show ${waiters.length - listed} more` : 'Show fewer')
  part(element, 'more').hidden = !moreWaiters || listed < waiters.length
  setText(part(element, 'more'), `More wait; all are in: signalbox turn show ${queue}`)
}

function fillIdle(item, queue) {
  const turns = queue.lastFence === 0 ? 'no turn yet' : plural(queue.lastFence, 'turn')
  if (item.dataset.shown === turns) return
  item.dataset.shown = turns
  item.replaceChildren(textElement('span', 'name', queue.queue), textElement('span', 'fact', turns))
}

function newMember() {
  return fromTemplate('member-template')
}

function fillHolder(element, holder) {
  fillMember(element, holder, 'go', '')
  since(element, holder.grantedAt, 'held for')
  setText(part(element, 'fact'), `fence ${holder.fence}`)
}

function fillWaiter(element, waiter) {
  fillMember(element, waiter, waiter.position === 1 ? 'next' : 'stop', String(waiter.position))
  since(element, waiter.joinedAt, 'waiting for')
  setText(part(element, 'fact'), waiter.priority === 50 ? '' : `priority ${waiter.priority}`)
}

function fillMember(element, member, lamp, place) {
  part(element, 'lamp').dataset.aspect = lamp
  setText(part(element, 'place'), place)
  const facts = JSON.stringify([member.id, member.labels])
  if (element.dataset.shown === facts) return
  element.dataset.shown = facts
  const { title, anonymous, href, rest } = who(member)
  const name = textElement(href === undefined ? 'span' : 'a', anonymous ? 'id' : 'name', title)
  if (href !== undefined) Object.assign(name, { href, rel: 'noreferrer' })
  part(element, 'title').replaceChildren(name)
  const pairs = rest.map(([key, value]) => {
    const pair = document.createElement('div')
    pair.append(textElement('dt', '', key), textElement('dd', '', value))
    return pair
  })
  part(element, 'labels').replaceChildren(...pairs)
  part(element, 'labels').hidden = pairs.length === 0
}

/** Lets a member's row show how long ago something was; `tick` keeps it right. */
function since(element, start, verb) {
  const shown = part(element, 'age')
  shown.dataset.since = String(Date.parse(start))
  setText(part(element, 'verb'), verb)
}

function tick() {
  const now = Date.now() + ahead
  for (const element of document.querySelectorAll('[data-since]')) {
    setText(element, age(now - Number(element.dataset.since)))
  }
  if (queues !== undefined) saySummary()
}
