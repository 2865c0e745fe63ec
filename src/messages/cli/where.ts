/** Where `signalbox messages` finds its queues: `--url`, else SIGNALBOX_URL, else APP_PORT, else the server's usual address. */
import { SignalboxError } from '../../kernel/error.ts'
import type { MessagesApi } from '../api.ts'

const USUAL = 'http://127.0.0.1:8080'

export interface ConnectedMessages {
  readonly api: MessagesApi
  close(): void
}

/** @throws SignalboxError `invalid_argument` */
export async function connectMessages(
  flag: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ConnectedMessages> {
  const given = (name: string): string | undefined => env[name]?.trim() || undefined
  const port = given('APP_PORT')
  const url = flag ?? given('SIGNALBOX_URL') ?? (port === undefined ? USUAL : `grpc://127.0.0.1:${port}`)
  if (url.startsWith('grpc://')) {
    const { messagesOverGrpc } = await import('./over-grpc.ts')
    const api = messagesOverGrpc(url.slice('grpc://'.length).replace(/\/$/, ''))
    return { api, close: () => api.close() }
  }
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    const what = `--url: '${url.slice(0, 80)}' must begin with http://, https:// or grpc://`
    throw new SignalboxError('invalid_argument', what)
  }
  const { messagesOverHttp } = await import('./over-http.ts')
  return { api: messagesOverHttp(url, given('SIGNALBOX_TOKEN')), close: () => undefined }
}
