/** A small SMTP server on loopback that keeps what it is sent, and can refuse it; no TLS. For tests of e-mail. */
import { createServer, type Server, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'

export interface Mail {
  readonly from: string
  readonly to: readonly string[]
  /** Headers and body as they came, dots unstuffed. */
  readonly raw: string
  /** Who signed in. */
  readonly user: string | undefined
}

export interface SmtpServer {
  readonly port: number
  readonly mails: readonly Mail[]
  /** Answers this to the command that begins so, instead of what it would. */
  readonly answerTo: (command: string, answer: string) => void
  readonly close: () => Promise<void>
}

export async function smtpServer(options: { readonly auth?: boolean } = {}): Promise<SmtpServer> {
  const mails: Mail[] = []
  const answers = new Map<string, string>()
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined)
    new Session(socket, mails, answers, options.auth === true).begin()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    mails,
    answerTo: (command, answer) => void answers.set(command, answer),
    close: () => closed(server, sockets),
  }
}

function closed(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  for (const socket of sockets) socket.destroy()
  return new Promise((resolve) => server.close(() => resolve()))
}

class Session {
  readonly #socket: Socket
  readonly #mails: Mail[]
  readonly #answers: ReadonlyMap<string, string>
  readonly #auth: boolean
  #text = ''
  #from = ''
  #to: string[] = []
  #data: string[] | undefined
  #user: string | undefined

  constructor(socket: Socket, mails: Mail[], answers: ReadonlyMap<string, string>, auth: boolean) {
    this.#socket = socket
    this.#mails = mails
    this.#answers = answers
    this.#auth = auth
  }

  begin(): void {
    this.#say('220 smtp.test ESMTP')
    this.#socket.setEncoding('latin1').on('data', (chunk: string) => {
      this.#text += chunk
      for (let end = this.#text.indexOf('\r\n'); end >= 0; end = this.#text.indexOf('\r\n')) {
        const line = this.#text.slice(0, end)
        this.#text = this.#text.slice(end + 2)
        if (this.#data === undefined) this.#command(line)
        else this.#line(line)
      }
    })
  }

  #command(line: string): void {
    const scripted = [...this.#answers].find(([command]) => line.toUpperCase().startsWith(command))
    if (scripted !== undefined) return this.#say(scripted[1])
    const [verb = ''] = line.toUpperCase().split(/[ :]/)
    switch (verb) {
      case 'EHLO':
        return this.#say(this.#auth ? '250-smtp.test\r\n250 AUTH PLAIN' : '250 smtp.test')
      case 'HELO':
        return this.#say('250 smtp.test')
      case 'AUTH': {
        const [, user] = Buffer.from(line.split(' ')[2] ?? '', 'base64')
          .toString()
          .split('\0')
        this.#user = user
        return this.#say('235 welcome')
      }
      case 'MAIL':
        this.#from = addressIn(line)
        this.#to = []
        return this.#say('250 ok')
      case 'RCPT':
        this.#to.push(addressIn(line))
        return this.#say('250 ok')
      case 'DATA':
        this.#data = []
        return this.#say('354 go on')
      case 'QUIT':
        this.#say('221 bye')
        this.#socket.end()
        return undefined
      default:
        return this.#say('502 not known')
    }
  }

  #line(line: string): void {
    if (line !== '.') {
      this.#data?.push(line.startsWith('.') ? line.slice(1) : line)
      return
    }
    this.#mails.push({
      from: this.#from,
      to: this.#to,
      raw: (this.#data ?? []).join('\r\n'),
      user: this.#user,
    })
    this.#data = undefined
    this.#say('250 taken')
  }

  #say(answer: string): void {
    this.#socket.write(`${answer}\r\n`)
  }
}

function addressIn(line: string): string {
  return /<([^>]*)>/.exec(line)?.[1] ?? ''
}
