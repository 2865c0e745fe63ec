/**
 * The page of merge-queue leases: all providers, or the one that the address names after `#`, live (server-sent events). Ages
 * and times left tick in between.
 */
/* oxlint-disable eslint/no-restricted-globals, eslint/no-restricted-properties -- a page has no Clock but the browser's */
import * as say from './leases-view.js'
import {
  $,
  announcer,
  copies,
  follow,
  fromTemplate,
  part,
  setText,
  showLink,
  sync,
  textElement,
} from './page.js'
import { age, plural, sentence } from './text.js'

/** Requests shown of a provider where all are listed. */
const FIRST_REQUESTS = 6
/** The history is asked for again at most this often. */
const HISTORY_EVERY_MS = 1_000

/** How far the server's clock is ahead of this one. */
let ahead = 0
/** The last picture: all providers, or the one that is looked at. */
let providers
/** `acme/shop@main`, or undefined for all. */
let chosen
let stop = () => {}
/** What the history shown belongs to. */
const seen = { key: undefined, at: 0, timer: undefined }
const announce = announcer($('said'))
const now = () => Date.now() + ahead

open()
addEventListener('hashchange', open)
setInterval(tick, 1_000)
$('filter').addEventListener('input', render)
for (const button of document.querySelectorAll('.copy')) copies(button)

/** Follows what the address names. */
function open() {
  const wanted = decodeURIComponent(location.hash.slice(1))
  if (wanted === 'main') return // the skip link
  stop()
  chosen = say.partsOf(wanted) === undefined ? undefined : wanted
  providers = undefined
  seen.key = undefined
  $('title').textContent = chosen ?? 'Leases'
  $('title').classList.toggle('mono', chosen !== undefined)
  document.title = `${chosen ?? 'Leases'} · Signalbox`
  $('nav-leases').setAttribute('aria-current', chosen === undefined ? 'page' : 'true')
  for (const id of [
    'empty',
    'no-match',
    'missing',
    'unused',
    'idle',
    'history',
    'facts',
    'clear',
    'filter-box',
  ])
    $(id).hidden = true
  $('up').hidden = chosen === undefined
  $('providers').replaceChildren()
  $('batches').replaceChildren()
  const show = (time, found) => {
    ahead = Date.parse(time) - Date.now()
    providers = found
    render()
  }
  stop =
    chosen === undefined
      ? follow('/api/v1/leases', 'providers', (data) => show(data.now, data.providers))
      : follow(url(''), 'provider', (view) => show(view.now, [view]))
  if (chosen !== undefined) void checkThere(chosen)
}

function url(rest) {
  return `/api/v1/leases/${encodeURIComponent(chosen)}${rest}`
}

/** A stream does not say why it was refused. */
async function checkThere(name) {
  const { status } = await fetch(url('')).catch(() => ({ status: 0 }))
  if (name !== chosen || status !== 404) return
  stop()
  $('missing').hidden = false
  showLink('none', 'Not there')
}

function render() {
  if (providers === undefined) return
  const one = chosen === undefined ? undefined : providers[0]
  const wanted = one === undefined ? $('filter').value.trim().toLowerCase() : ''
  const shown = providers.filter(({ provider }) => provider.toLowerCase().includes(wanted))
  const idle = shown.filter((view) => !say.isBusy(view))
  $('empty').hidden = providers.length > 0
  $('no-match').hidden = providers.length === 0 || shown.length > 0
  $('filter-box').hidden = one !== undefined || (providers.length < 8 && wanted === '')
  $('idle').hidden = one !== undefined || idle.length === 0
  $('main').classList.toggle('single', one !== undefined)
  sync($('providers'), shown.filter(say.isBusy), ({ provider }) => provider, newProvider, fillProvider)
  sync(
    $('idle-list'),
    one === undefined ? idle : [],
    ({ provider }) => provider,
    newIdle,
    () => {},
  )
  $('clear').hidden = one === undefined
  if (one !== undefined) renderOne(one)
  tick()
}

function newIdle({ provider }) {
  const item = document.createElement('li')
  const link = textElement('a', 'name', provider)
  link.href = `#${encodeURI(provider)}`
  item.append(link)
  return item
}

function newProvider({ provider }) {
  const element = fromTemplate('provider-template')
  const id = `provider-${provider}`
  element.setAttribute('aria-labelledby', id)
  const title = element.querySelector('h2')
  title.id = id
  for (const link of element.querySelectorAll('h2 a, .more a')) link.href = `#${encodeURI(provider)}`
  title.firstElementChild.textContent = provider
  return element
}

function fillProvider(element, view) {
  const { text, aspect } = say.phase(view)
  const { requests } = view
  setText(part(element, 'phase'), text)
  part(element, 'phase').dataset.aspect = aspect
  const listed = chosen === undefined ? requests.slice(0, FIRST_REQUESTS) : requests
  sync(
    part(element, 'stack'),
    listed,
    ({ sha }) => sha,
    (request) => newRequest(view, request),
    (item, request) => fillRequest(item, view, request),
  )
  const more = part(element, 'more')
  more.hidden = listed.length === requests.length
  setText(more.firstElementChild, `All ${requests.length} requests`)
}

function newRequest({ provider }, { pullRequest, sha }) {
  const item = fromTemplate('request-template')
  const pull = part(item, 'pull')
  if (pullRequest === undefined) pull.remove()
  else pull.append(pullLink(provider, pullRequest))
  part(item, 'sha').textContent = sha.slice(0, 12)
  part(item, 'sha').title = sha
  return item
}

function pullLink(provider, number) {
  const link = textElement('a', '', `#${number}`)
  return Object.assign(link, { href: say.pullUrl(provider, number), rel: 'noopener noreferrer' })
}

function fillRequest(item, view, request) {
  const { aspect, contained, verb, since, suffix, fact } = say.row(view, request)
  part(item, 'lamp').dataset.aspect = aspect
  item.dataset.state = request.state
  item.classList.toggle('contained', contained)
  setText(part(item, 'verb'), verb)
  Object.assign(part(item, 'age').dataset, { since: String(Date.parse(since)), suffix })
  setText(part(item, 'fact'), fact)
  setText(part(item, 'why'), sentence(request.brief))
}

/** What is shown of a provider only where it is the only one. */
function renderOne(view) {
  $('unused').hidden = say.isBusy(view)
  setText(
    $('unused-command'),
    `npx signalbox lease run ${view.provider} --head-sha "$(git rev-parse HEAD)" --priority 1 -- ./check`,
  )
  $('facts').hidden = false
  sync(
    $('facts-list'),
    say.facts(view),
    ([term]) => term,
    newFact,
    (pair, [, text]) => setText(pair.lastElementChild, text),
  )
  void refreshHistory(view)
}

function newFact([term]) {
  const pair = document.createElement('div')
  pair.append(textElement('dt', '', term), document.createElement('dd'))
  return pair
}

/** Asks for the history when somebody has come or gone. */
async function refreshHistory({ batch, phase, lastFence, requests }) {
  const key = JSON.stringify([chosen, batch, phase, lastFence, requests.map(({ sha }) => sha)])
  if (key === seen.key) return
  clearTimeout(seen.timer)
  const wait = seen.at + HISTORY_EVERY_MS - Date.now()
  if (wait > 0 && seen.key !== undefined) {
    seen.timer = setTimeout(render, wait)
    return
  }
  Object.assign(seen, { key, at: Date.now() })
  const name = chosen
  try {
    const answer = await fetch(url('/history?limit=300'))
    if (!answer.ok) throw new Error(String(answer.status))
    const history = await answer.json()
    if (name === chosen) renderHistory(history, requests.length > 0 ? batch : undefined)
  } catch {
    seen.key = undefined // the next picture tries again
  }
}

function renderHistory(history, current) {
  const found = say.batches(history, current)
  $('history').hidden = false
  $('history-none').hidden = found.length > 0
  const create = () => fromTemplate('batch-template')
  sync(
    $('batches'),
    found,
    ({ number }) => String(number),
    create,
    (item, one) => fillBatch(item, history.provider, one),
  )
  tick()
}

function fillBatch(item, provider, { text, aspect, endedAt, tookMs, merged, tries, others, number }) {
  item.dataset.aspect = aspect
  setText(part(item, 'outcome'), text)
  const pulls = merged.map((one) =>
    one.pullRequest === undefined
      ? textElement('span', '', say.name(one))
      : pullLink(provider, one.pullRequest),
  )
  part(item, 'merged').hidden = pulls.length === 0
  part(item, 'merged').replaceChildren(
    ...pulls.flatMap((pull, index) => (index === 0 ? [pull] : [' ', pull])),
  )
  const rows = tries.map((one) => {
    const try_ = textElement('li', '', `${say.name(one)} ${one.text}`)
    try_.dataset.aspect = one.aspect
    return try_
  })
  part(item, 'tries').replaceChildren(...rows)
  part(item, 'others').hidden = others.length === 0
  setText(part(item, 'others'), others.join('; '))
  const time = item.querySelector('time')
  const date = new Date(endedAt)
  time.dateTime = date.toISOString()
  time.title = date.toLocaleString()
  Object.assign(time.dataset, { since: String(endedAt), suffix: ' ago' })
  setText(part(item, 'fact'), `batch ${number} · ${age(tookMs)} in all`)
}

function tick() {
  if (providers === undefined) return
  const time = now()
  for (const element of document.querySelectorAll('[data-since]')) {
    setText(element, `${age(time - Number(element.dataset.since))}${element.dataset.suffix ?? ''}`)
  }
  for (const view of providers) {
    const element = [...$('providers').children].find(({ dataset }) => dataset.key === view.provider)
    if (element !== undefined) tickProvider(element, view, time)
  }
  const text = say.summary(providers)
  setText($('summary'), chosen === undefined ? text : '')
  const [one] = providers
  announce(
    chosen === undefined || one === undefined
      ? text
      : `${say.phase(one).text}, ${plural(one.requests.length, 'request')}`,
  )
}

function tickProvider(element, view, time) {
  const reason = say.reasonAt(view, time)
  setText(part(element, 'reason'), `${sentence(reason)}.`)
  const failed = say.failedText(view, time)
  part(element, 'failed').hidden = failed === ''
  setText(part(element, 'failed'), failed)
  const gate = say.gate(view, time)
  part(element, 'gate').hidden = gate === undefined
  if (gate !== undefined) {
    const [left, known] = element.querySelectorAll('progress')
    setText(part(element, 'window-text'), gate.windowText)
    left.value = gate.windowShare
    setText(part(element, 'known-text'), gate.knownText)
    Object.assign(known, { max: gate.expected, value: gate.known })
  }
}

$('clear').addEventListener('click', () => {
  const [view] = providers
  setText($('clear-title'), `Clear ${view.provider}?`)
  $('clear-what').replaceChildren(...say.clearEffects(view).map((line) => textElement('li', '', line)))
  setText($('clear-problem'), '')
  $('clear-dialog').showModal()
  $('clear-reason').focus()
})
$('clear-cancel').addEventListener('click', () => $('clear-dialog').close())
$('clear-form').addEventListener('submit', (event) => {
  event.preventDefault()
  void clear()
})

async function clear() {
  const go = $('clear-go')
  go.disabled = true
  try {
    const answer = await fetch(url('/clear'), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ reason: $('clear-reason').value }),
    })
    if (!answer.ok)
      throw new Error((await answer.json()).error?.message ?? `the server answered ${answer.status}`)
    $('clear-reason').value = ''
    $('clear-dialog').close()
  } catch (error) {
    setText($('clear-problem'), `Not cleared: ${error.message}`)
  } finally {
    go.disabled = false
  }
}
