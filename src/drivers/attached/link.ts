/**
 * One connection to the owner, from the upgrade to its end.
 *
 * Invariant: `onEnd` runs exactly once per link that `dial` gave out, and no frame comes after it.
 */
import { request } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import { FrameReader, FrameWriter } from './frames.ts'
import {
  isAnswerOrHint,
  isBye,
  isHelloOf,
  type Answer,
  type Hello,
  type Hint,
  type Protocol,
} from './wire.ts'

/** The hello is small; what comes before it is bounded too. */
const MAX_HELLO_BYTES = 64 * 1024

export interface LinkEvents {
  onFrame(frame: Answer | Hint): void
  /** The owner is going: nothing new can be sent, answers may still come; `finish()` once they have. */
  onBye(): void
  onDrain(): void
  onEnd(): void
}

export interface DialOptions<H extends object> {
  readonly protocol: Protocol<H>
  readonly socketPath: string
  readonly clock: Clock
  /** For the upgrade, for the hello, and for the end after a bye. */
  readonly timeoutMs: number
  /** Gives up dialling, and ends the link. */
  readonly signal: AbortSignal
}

export interface Link<H extends object = object> {
  readonly hello: Hello<H>
  /** Too much waits to be sent: hold back, so that a break finds little of unknown outcome. */
  readonly full: boolean
  /** @param frame JSON text */
  send(frame: string): void
  /** Ends our side after what was sent. Resolves when all of it is on its way, or never will be. */
  finish(): Promise<void>
  close(): void
}

/**
 * Connects and waits for the owner's hello.
 * @throws SignalboxError `unavailable`
 */
export async function dial<H extends object>(options: DialOptions<H>, events: LinkEvents): Promise<Link<H>> {
  const { protocol, clock, timeoutMs, signal } = options
  const { socket, head } = await upgrade(options)
  if (head.length > 0) socket.unshift(head)
  return new Promise((resolve, reject) => {
    let link: Link<H> | undefined
    let ended = false
    const reader = new FrameReader(MAX_HELLO_BYTES)
    const writer = new FrameWriter(socket)
    const end = (): void => {
      if (ended) return
      ended = true
      timer.cancel()
      signal.removeEventListener('abort', end)
      socket.destroy()
      if (link === undefined) reject(unavailable('it hung up'))
      else events.onEnd()
    }
    let timer = clock.timer(timeoutMs, end)
    signal.addEventListener('abort', end)
    const receive = (frame: unknown): void => {
      if (link !== undefined) {
        if (isBye(frame)) {
          timer = clock.timer(timeoutMs, end)
          events.onBye()
          return
        }
        if (!isAnswerOrHint(frame)) throw new Error('not an answer')
        events.onFrame(frame)
        return
      }
      if (!isHelloOf(frame, protocol)) throw new Error('not a hello')
      timer.cancel()
      reader.maxBytes = protocol.maxAnswerBytes(frame.hello)
      link = {
        hello: frame,
        get full() {
          return writer.full
        },
        send: (text) => writer.write(text),
        finish: () => {
          writer.flush()
          return new Promise((done) => {
            socket.once('close', done)
            socket.end(done)
          })
        },
        close: end,
      }
      resolve(link)
    }
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const frame of reader.push(chunk)) if (!ended) receive(frame)
      } catch {
        end()
      }
    })
    socket.on('drain', () => events.onDrain())
    socket.on('error', end)
    socket.on('end', end)
    socket.on('close', end)
  })
}

function upgrade({
  protocol,
  socketPath,
  clock,
  timeoutMs,
  signal,
}: Omit<DialOptions<object>, 'protocol'> & { readonly protocol: { readonly name: string } }): Promise<{
  socket: Duplex
  head: Buffer
}> {
  return new Promise((resolve, reject) => {
    const call = request({
      socketPath,
      path: '/',
      agent: false,
      signal,
      headers: { Connection: 'Upgrade', Upgrade: protocol.name },
    })
    const fail = (why: string, cause?: unknown): void => {
      timer.cancel()
      call.destroy()
      reject(unavailable(why, cause))
    }
    const timer = clock.timer(timeoutMs, () => fail('timed out'))
    call.on('upgrade', (_, socket, head) => {
      timer.cancel()
      // An error may come before the caller gets to listen; `close` follows it.
      socket.on('error', () => socket.destroy())
      resolve({ socket, head })
    })
    call.on('response', ({ statusCode }) => fail(`it does not speak ${protocol.name}: HTTP ${statusCode}`))
    call.on('error', (error) => fail(error.message, error))
    call.end()
  })
}

function unavailable(message: string, cause?: unknown): SignalboxError {
  return new SignalboxError('unavailable', message, cause === undefined ? {} : { cause })
}
