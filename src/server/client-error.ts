/**
 * Answers what is not even an HTTP request, or does not arrive in time, in the form of all our errors.
 */
import type { Socket } from 'node:net'
import type { ErrorCode } from '../kernel/error.ts'

const problems: Readonly<Record<string, { readonly status: string; readonly message: string }>> = {
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: '408 Request Timeout',
    message: 'the request did not arrive whole in time (server.requestTimeout)',
  },
  HPE_HEADER_OVERFLOW: {
    status: '431 Request Header Fields Too Large',
    message: 'path and headers are larger than 16 KiB',
  },
}
const malformed = { status: '400 Bad Request', message: 'this is not an HTTP request' }

/** For a server's `clientError` event. The connection is of no further use and is closed. */
export function answerClientError(cause: NodeJS.ErrnoException, socket: Socket): void {
  if (cause.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const { status, message } = problems[cause.code ?? ''] ?? malformed
  const code: ErrorCode = 'invalid_argument'
  const body = JSON.stringify({ error: { code, message } })
  const head = ['content-type: application/json; charset=utf-8', `content-length: ${Buffer.byteLength(body)}`]
  socket.end([`HTTP/1.1 ${status}`, ...head, 'connection: close', '', body].join('\r\n'))
}
