/** `MessagesApi` at a server or sidecar, over HTTP. */
import { isErrorCode, SignalboxError } from '../../kernel/error.ts'
import type { MessagesApi } from '../api.ts'

/** @param token of `SIGNALBOX_TOKEN` */
export function messagesOverHttp(url: string, token: string | undefined): MessagesApi {
  const call = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    let answer: Response
    try {
      answer = await fetch(`${url.replace(/\/$/, '')}/api/v1/messages/${path}`, {
        method,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
    } catch (cause) {
      const how = "start one with 'signalbox serve' or 'signalbox sidecar', or set SIGNALBOX_URL"
      throw new SignalboxError('unavailable', `nobody answers at ${url}; ${how}`, { cause })
    }
    const text = await answer.text()
    if (answer.ok) return JSON.parse(text) as T
    throw problem(text, answer.status, url)
  }
  const at = encodeURIComponent
  return {
    send: (queue, messages) => call('POST', `${at(queue)}/send`, { messages }),
    receive: (queue, request) => call('POST', `${at(queue)}/receive`, request),
    delete: (queue, receipts) => call('POST', `${at(queue)}/delete`, { receipts }),
    stats: (queue) => call('GET', at(queue)),
    peek: (queue, { limit, after }) => {
      const query = new URLSearchParams({
        ...(limit === undefined ? {} : { limit: String(limit) }),
        ...(after === undefined ? {} : { after }),
      })
      return call('GET', `${at(queue)}/peek?${query.toString()}`)
    },
    redrive: (queue, request) => call('POST', `${at(queue)}/redrive`, request),
    purge: (queue) => call('POST', `${at(queue)}/purge`, {}),
  }
}

function problem(text: string, status: number, url: string): SignalboxError {
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string } }
    if (isErrorCode(error.code)) return new SignalboxError(error.code, error.message)
  } catch {
    // Somebody else's answer.
  }
  return new SignalboxError('unavailable', `${url} answered ${status}, and not as a Signalbox does`)
}
