/**
 * What all pages of the console do: find elements, keep lists in step with data, hold a live stream, copy a command.
 * The browser reconnects a stream by itself when it ends; until then the last picture stays, marked as old.
 */
/* oxlint-disable eslint/no-restricted-globals, eslint/no-restricted-properties -- a page has no Clock but the browser's */

const RETRY_MS = 2_000

export const $ = (id) => document.getElementById(id)
export const part = (element, name) => element.querySelector(`.${name}`)

/**
 * @param {string} url of an event stream
 * @param {string} event whose data is shown
 * @param {(data: any) => void} show
 * @returns {() => void} ends it
 */
export function follow(url, event, show) {
  let stream
  let retry
  const connect = () => {
    stream = new EventSource(url)
    stream.addEventListener('open', () => showLink('live', 'Live'))
    stream.addEventListener(event, ({ data }) => {
      showLink('live', 'Live')
      show(JSON.parse(data))
    })
    stream.addEventListener('error', () => {
      showLink('lost', 'Reconnecting')
      if (stream.readyState !== EventSource.CLOSED) return // the browser retries
      retry = setTimeout(connect, RETRY_MS) // it does not after an error status
    })
  }
  connect()
  return () => {
    stream.close()
    clearTimeout(retry)
  }
}

export function showLink(state, text) {
  const link = $('link')
  if (link.dataset.state === state) return
  link.dataset.state = state
  link.textContent = text
  document.body.classList.toggle('stale', state === 'lost')
}

/** Makes a copy of the only child of a template. */
export function fromTemplate(id) {
  return $(id).content.cloneNode(true).firstElementChild
}

/** Makes `parent`'s children follow `items`, keeping the element of each key, so that focus and selection survive. */
export function sync(parent, items, keyOf, create, fill) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]))
  let place = parent.firstElementChild
  for (const item of items) {
    const key = keyOf(item)
    let element = old.get(key)
    if (element === undefined) {
      element = create(item)
      element.dataset.key = key
    }
    old.delete(key)
    if (element === place) place = place.nextElementSibling
    else parent.insertBefore(element, place)
    fill(element, item)
  }
  for (const gone of old.values()) gone.remove()
}

export function textElement(tag, className, text) {
  const element = document.createElement(tag)
  if (className !== '') element.className = className
  element.textContent = text
  return element
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/** Lets a button copy what the element before it says. */
export function copies(button) {
  button.addEventListener('click', async () => {
    const command = button.previousElementSibling
    try {
      await navigator.clipboard.writeText(command.textContent)
      button.textContent = 'Copied'
    } catch {
      getSelection().selectAllChildren(command) // no clipboard without TLS: leave it to the keyboard
      button.textContent = 'Selected'
    }
    setTimeout(() => (button.textContent = 'Copy'), 2_000)
  })
}

/** Says `text` to screen readers, not more often than one can listen. */
export function announcer(element, everyMs = 5_000) {
  let last = 0
  return (text) => {
    const now = Date.now()
    if (now - last < everyMs || element.textContent === text) return
    last = now
    element.textContent = text
  }
}
