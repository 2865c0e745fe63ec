/** Clients that write HTTP/2 by hand, so that they can do what no gRPC library would. */
import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { connect, type Socket } from 'node:net'

/** What a gRPC message is preceded by. */
export function framed(message: Uint8Array, announced = message.length): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(announced, 1)
  return Buffer.concat([head, message])
}

/** @param windowBytes how much of each stream it takes without reading */
export function rawSession(port: number, windowBytes = 65_535): ClientHttp2Session {
  const session = connectHttp2(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: windowBytes } })
  session.on('error', () => undefined)
  return session
}

/** Never reads what it is answered. */
export function rawCall(session: ClientHttp2Session, path: string): ClientHttp2Stream {
  const call = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
  })
  call.on('error', () => undefined)
  return call
}

export function rawSocket(port: number, bytes: Uint8Array): Socket {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.on('error', () => undefined)
  socket.resume()
  socket.write(bytes)
  return socket
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** What is no HTTP/2, or only its beginning. */
export const garbage: readonly Buffer[] = [
  Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'),
  Buffer.from([0, 1, 2, 3]),
  PREFACE.subarray(0, 10),
  // Half a frame of settings.
  Buffer.concat([PREFACE, Buffer.from([0, 0, 0x12, 4])]),
  // Headers of 16 MiB are announced.
  Buffer.concat([PREFACE, Buffer.from([0xff, 0xff, 0xff, 1, 4, 0, 0, 0, 1])]),
  // A frame of a stream that nobody opened.
  Buffer.concat([PREFACE, Buffer.from([0, 0, 1, 0, 1, 0, 0, 0, 99, 65])]),
  Buffer.alloc(100_000, 'a'),
]
