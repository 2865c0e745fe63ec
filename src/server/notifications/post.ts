/**
 * One POST to a receiver's URL. Redirects are not followed, for a receiver that moved is to be configured anew, and of an answer only
 * its beginning is read. No message of ours shows the URL's path, which is often a secret.
 */
import type { Sent } from '../../notifications/sending.ts'
import { version } from '../../version.ts'

export interface Post {
  readonly url: URL
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  readonly now: number
}

const MAX_ANSWER_BYTES = 1_024
const MAX_SHOWN = 160
/** The receiver works, but not for this message. */
const OF_THE_MESSAGE = new Set([400, 413, 415, 422])
/** These pass by themselves, though they are called the client's fault. */
const PASSING = new Set([408, 425, 429])

/** Does not reject. */
export async function post({ url, body, headers = {}, signal, now }: Post): Promise<Sent> {
  let response: Response
  try {
    response = await fetch(url, {
      method: 'POST',
      body,
      headers: { ...headers, 'content-type': 'application/json', 'user-agent': `signalbox/${version}` },
      redirect: 'manual',
      signal,
    })
  } catch (error) {
    return { ok: false, error: `${url.host} was not reached (${reasonOf(error)})`, fault: 'channel' }
  }
  const { status } = response
  if (response.ok) {
    // It was taken, whatever else is said: a body without end must not make it a failure, and have it sent again.
    await response.body?.cancel().catch(() => undefined)
    return { ok: true }
  }
  const text = await beginningOf(response)
  const said = text === '' ? '' : `: ${shown(text, url)}`
  const pause = retryAfter(response.headers.get('retry-after'), now)
  const moved =
    status >= 300 && status < 400 ? ' and leads elsewhere, which is not followed; configure the new URL' : ''
  return {
    ok: false,
    error: `${url.host} answered ${status}${moved}${said}`,
    fault: OF_THE_MESSAGE.has(status) ? 'message' : 'channel',
    ...(pause === undefined ? {} : { retryAfterMs: pause }),
    ...(status < 500 && !PASSING.has(status) ? { slow: true } : {}),
  }
}

/** Its first bytes as text; a body that breaks off or never ends says no more. */
async function beginningOf({ body }: Response): Promise<string> {
  if (body === null) return ''
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const chunk of body) {
      chunks.push(chunk)
      bytes += chunk.byteLength
      if (bytes >= MAX_ANSWER_BYTES) break // which cancels the rest
    }
  } catch {
    // What was read tells enough.
  }
  return Buffer.concat(chunks).subarray(0, MAX_ANSWER_BYTES).toString('utf8')
}

function shown(text: string, url: URL): string {
  const secrets = [url.href, url.pathname + url.search, url.pathname].filter((part) => part.length > 1)
  const masked = secrets.reduce((rest, secret) => rest.replaceAll(secret, '…'), text)
  return masked
    .replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim()
    .slice(0, MAX_SHOWN)
}

/** Seconds, or a date. */
function retryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1_000
  const at = Date.parse(header)
  return Number.isNaN(at) ? undefined : Math.max(0, at - now)
}

function reasonOf(error: unknown): string {
  const { cause, name, message } = error as Error & { readonly cause?: { readonly code?: string } }
  return cause?.code ?? (name === 'AbortError' ? 'no answer in time' : message.slice(0, MAX_SHOWN))
}
