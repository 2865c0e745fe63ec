/**
 * A lean HTTP/1.1 client for load: one keep-alive connection, one request at a time, JSON in and out. It costs a fraction of
 * a full client, so that on two cores the server is what is measured.
 */
import { connect, type Socket } from 'node:net'

export class Connection {
  readonly #socket: Socket
  readonly #host: string
  #buffer = Buffer.alloc(0)
  #waiting: { resolve: (body: unknown) => void; reject: (error: Error) => void } | undefined

  constructor(socket: Socket, host: string) {
    this.#socket = socket
    this.#host = host
    socket.setNoDelay(true)
    socket.on('data', (chunk) => {
      this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk])
      this.#read()
    })
    const fail = (error?: Error): void =>
      this.#waiting?.reject(error ?? new Error('the connection was closed'))
    socket.on('error', fail)
    socket.on('close', () => fail())
  }

  static open(url: string): Promise<Connection> {
    const { hostname, port, host } = new URL(url)
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname, () => resolve(new Connection(socket, host)))
      socket.once('error', reject)
    })
  }

  request(method: string, path: string, body?: object): Promise<unknown> {
    const json = body === undefined ? '' : JSON.stringify(body)
    const head =
      body === undefined
        ? ''
        : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(json)}\r\n`
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
      this.#socket.write(
        `${method} ${path} HTTP/1.1\r\nhost: ${this.#host}\r\naccept: application/json\r\n${head}\r\n${json}`,
      )
    })
  }

  close(): void {
    this.#waiting = undefined
    this.#socket.destroy()
  }

  #read(): void {
    const end = this.#buffer.indexOf('\r\n\r\n')
    if (end < 0) return
    const head = this.#buffer.toString('latin1', 0, end)
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
    if (this.#buffer.length < end + 4 + length) return
    const body = this.#buffer.toString('utf8', end + 4, end + 4 + length)
    this.#buffer = this.#buffer.subarray(end + 4 + length)
    const waiting = this.#waiting
    this.#waiting = undefined
    if (head.startsWith('HTTP/1.1 2'))
      waiting?.resolve(body === '' ? undefined : (JSON.parse(body) as unknown))
    else waiting?.reject(new Error(`${head.split('\r\n')[0]}: ${body}`))
  }
}
