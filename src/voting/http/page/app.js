// The voting page: topics, one vote a browser, live results. Without a framework and with nothing inline, so that the strict content
// policy holds.
//
// A vote gets its id here and is remembered before it is sent. So it may be sent again after whatever went wrong, and counts once.

const main = document.querySelector('#main')
const status = document.querySelector('#status')
const RETRIES = 5
/** Ends what belongs to the page that is left: streams, and the waiting of votes. */
let left = new AbortController()

/** An element with its properties and children; text is never parsed as HTML. */
function element(name, properties = {}, ...children) {
  const node = document.createElement(name)
  for (const [key, value] of Object.entries(properties)) {
    if (key in node) node[key] = value
    else node.setAttribute(key, value)
  }
  node.append(...children)
  return node
}

function say(text, trouble = false) {
  status.className = trouble ? 'status trouble' : 'status'
  status.textContent = text
}

// oxlint-disable-next-line eslint/no-restricted-globals -- a page of a browser has no Clock
const wait = (ms) => new Promise((done) => setTimeout(done, ms))

async function get(path) {
  const answer = await fetch(path, { signal: left.signal })
  if (!answer.ok) throw Object.assign(new Error(`${path}: ${answer.status}`), { status: answer.status })
  return { body: await answer.json(), next: answer.headers.get('x-next-cursor') }
}

// --- the vote of this browser -----------------------------------------------------------------------------------

const nameOf = (topicId) => `vote:${topicId}`
const remembered = new Map()

function myVote(topicId) {
  try {
    return JSON.parse(localStorage.getItem(nameOf(topicId))) ?? remembered.get(topicId)
  } catch {
    return remembered.get(topicId) // storage is refused: at least until the page is closed
  }
}

function remember(topicId, vote) {
  remembered.set(topicId, vote)
  try {
    localStorage.setItem(nameOf(topicId), JSON.stringify(vote))
  } catch {
    // as above
  }
}

function forget(topicId) {
  remembered.delete(topicId)
  try {
    localStorage.removeItem(nameOf(topicId))
  } catch {
    // as above
  }
}

/** 122 random bits; `crypto.randomUUID` is there on https and localhost only. */
function newId() {
  if (crypto.randomUUID !== undefined) return crypto.randomUUID()
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('')
}

/** Sends it until it is taken. @returns whether it was, or why never */
async function send(topicId, { id, choice_id }) {
  for (let attempt = 0; ; attempt++) {
    const answer = await fetch('/votes', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ id, topic_id: topicId, choice_id }),
    }).catch(() => undefined)
    if (answer?.status === 202) return 'taken'
    if (answer !== undefined && answer.status >= 400 && answer.status < 500 && answer.status !== 429)
      return 'refused'
    if (attempt === RETRIES) return 'unreachable'
    say('The vote could not be sent yet. Trying again…', true)
    await wait(500 * 2 ** attempt)
  }
}

/** Waits until it is counted, which the stream shows too; this is for the words. */
async function counted(id) {
  const { signal } = left
  for (let ms = 150; !signal.aborted; ms = Math.min(ms * 1.5, 5_000)) {
    const answer = await fetch(`/votes/${id}`, { signal }).catch(() => undefined)
    if (answer?.ok) return true
    await wait(ms)
  }
  return false
}

async function cast(topic, choice, render) {
  if (myVote(topic.id) !== undefined) return render() // another tab was faster
  const vote = { id: newId(), choice_id: choice.id, sent: false }
  remember(topic.id, vote)
  render()
  await deliver(topic, vote, render)
}

async function deliver(topic, vote, render) {
  const result = await send(topic.id, vote)
  if (result === 'refused') {
    forget(topic.id)
    say('This vote is not taken any more. The topic may have changed.', true)
    await open()
    return
  }
  if (result === 'unreachable') {
    say('The vote could not be sent. It is kept here; reload the page to try again.', true)
    return
  }
  remember(topic.id, { ...vote, sent: true })
  render()
  say('Vote taken. It is being counted…')
  if (await counted(vote.id)) say('Your vote is counted.')
}

// --- pages ------------------------------------------------------------------------------------------------------

function show(title, ...content) {
  const heading = element('h1', { tabIndex: -1 }, title)
  document.title = `${title} – Voting`
  main.replaceChildren(heading, ...content)
  return heading
}

function total(topic) {
  return topic.choices.reduce((sum, { votes }) => sum + (votes ?? 0), 0)
}

function votesText(count) {
  return count === 1 ? '1 vote' : `${count.toLocaleString('en')} votes`
}

async function topicsPage() {
  const list = element('ul')
  const more = element('button', { className: 'plain', type: 'button', hidden: true }, 'Show more')
  let cursor
  const load = async () => {
    const query = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const { body, next } = await get(`/topics?include_votes=true${query}`)
    list.append(...body.map(topicEntry))
    cursor = next ?? undefined
    more.hidden = cursor === undefined
    return body.length
  }
  more.addEventListener('click', () => void load().catch(trouble))
  const count = await load()
  const none = element(
    'p',
    { className: 'quiet' },
    'Nothing to vote on yet. ',
    element('a', { href: '/docs' }, 'Create a topic'),
    ' with the API.',
  )
  return show(
    'Topics',
    ...(count === 0
      ? [none]
      : [element('p', { className: 'quiet' }, 'Pick one. One vote each.'), list, more]),
  )
}

function topicEntry(topic) {
  const tag =
    myVote(topic.id) !== undefined
      ? element('span', { className: 'tag voted' }, 'voted')
      : topic.is_active
        ? ''
        : element('span', { className: 'tag' }, 'closed')
  const text = element(
    'span',
    {},
    element('strong', {}, topic.title),
    element('small', {}, votesText(total(topic))),
  )
  return element(
    'li',
    {},
    element('a', { className: 'topic', href: `#/topic/${encodeURIComponent(topic.id)}` }, text, tag),
  )
}

async function topicPage(id) {
  let { body: topic } = await get(`/topics/${encodeURIComponent(id)}?include_votes=true`)
  const summary = element('span')
  const live = element('span', { className: 'live' }, 'connecting')
  const list = element('ul')
  const heading = show(
    topic.title,
    element('p', { className: 'quiet' }, summary, ' · ', live),
    list,
    backLink(),
  )
  let shown = ''
  const render = () => {
    const mine = myVote(topic.id)
    const voting = mine === undefined && topic.is_active
    const all = total(topic)
    heading.textContent = topic.title
    summary.textContent = `${votesText(all)}${topic.is_active ? '' : ' · closed'}`
    const names = topic.choices.map((choice) => choice.id + choice.description).join('\n')
    const now = `${voting} ${mine?.choice_id} ${names}`
    // What has the focus stays; only the numbers move.
    if (now !== shown) {
      const hadFocus = list.contains(document.activeElement)
      list.replaceChildren(
        ...topic.choices.map((choice) => (voting ? ballot(topic, choice, render) : result(choice, mine))),
      )
      if (hadFocus) heading.focus()
      shown = now
    }
    if (!voting) topic.choices.forEach((choice, i) => update(list.children[i], choice, all))
    if (topic.choices.length === 0)
      list.replaceChildren(element('li', { className: 'quiet' }, 'It has no choices yet.'))
  }
  render()
  watch(id, live, (next) => {
    topic = next
    render()
  })
  const mine = myVote(id)
  if (mine?.sent === false) void deliver(topic, mine, render)
  return heading
}

function backLink() {
  return element('p', {}, element('a', { href: '#/' }, 'All topics'))
}

function ballot(topic, choice, render) {
  const button = element('button', { type: 'button' }, choice.description)
  button.addEventListener('click', () => void cast(topic, choice, render).catch(trouble))
  return element('li', {}, button)
}

function result(choice, mine) {
  const own = mine?.choice_id === choice.id
  const name = element('span', { className: 'name' }, choice.description)
  if (own) name.append(' ', element('span', { className: 'yours' }, '✓ your vote'))
  return element(
    'li',
    { className: own ? 'choice mine' : 'choice' },
    element('span', { className: 'bar', 'aria-hidden': 'true' }),
    name,
    element('span', { className: 'count' }, element('b'), element('small')),
  )
}

function update(item, { votes }, all) {
  const share = all === 0 ? 0 : (100 * (votes ?? 0)) / all
  item.querySelector('.bar').style.width = `${share}%`
  item.querySelector('b').textContent = `${Math.round(share)} %`
  item.querySelector('small').textContent = votesText(votes ?? 0)
}

/** Live results; the browser connects again by itself. */
function watch(id, sign, changed) {
  const stream = new EventSource(`/topics/${encodeURIComponent(id)}`)
  const tell = (on) => {
    sign.className = on ? 'live on' : 'live'
    sign.textContent = on ? 'live' : 'connecting'
  }
  stream.addEventListener('open', () => tell(true))
  stream.addEventListener('error', () => tell(false))
  stream.addEventListener('topic', ({ data }) => changed(JSON.parse(data)))
  left.signal.addEventListener('abort', () => stream.close())
}

// --- from page to page ------------------------------------------------------------------------------------------

function trouble(error) {
  if (error.name !== 'AbortError') say('The server cannot be reached. Reload the page to try again.', true)
}

async function open({ focus = false } = {}) {
  left.abort()
  left = new AbortController()
  const [, topicId] = /^#\/topic\/(.+)$/.exec(location.hash) ?? []
  try {
    const heading = await (topicId === undefined ? topicsPage() : topicPage(decodeURIComponent(topicId)))
    if (focus) heading.focus()
  } catch (error) {
    if (error.status === 404) show('There is no such topic', backLink())
    else trouble(error)
  }
}

document.querySelector('.skip').addEventListener('click', (event) => {
  event.preventDefault() // the address is the page's
  main.focus()
})
addEventListener('hashchange', () => {
  say('')
  scrollTo(0, 0)
  void open({ focus: true })
})
void open()
