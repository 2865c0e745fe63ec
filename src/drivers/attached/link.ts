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
  isHello,
  maxFrameBytes,
  PROTOCOL,
  type Answer,
  type Hello,
  type Hint,
} from './protocol.ts'

/** The hello is small; what comes before it is bounded too. */
const MAX_HELLO_BYTES = 64 * 1024

export interface LinkEvents {
  onFrame(frame: Answer | Hint): void
  /** The owner is going: nothing more can be sent, answers may still come. */
  onBye(): void
  onDrain(): void
  onEnd(): void
}

export interface DialOptions {
  readonly socketPath: string
  readonly clock: Clock
  /** For the upgrade, for the hello, and for the end after a bye. */
  readonly timeoutMs: number
  /** Gives up dialling. */
  readonly signal: AbortSignal
}

export interface Link {
  readonly hello: Hello
  /** Too much waits to be sent: hold back, so that a break finds little of unknown outcome. */
  readonly full: boolean
  /** @param frame JSON text */
  send(frame: string): void
  close(): void
}

/**
 * Connects and waits for the owner's hello.
 * @throws SignalboxError `unavailable`
 */
export async function dial(options: DialOptions, events: LinkEvents): Promise<Link> {
  const { clock, timeoutMs, signal } = options
  const { socket, head } = await upgrade(options)
  if (head.length > 0) socket.unshift(head)
  return new Promise((resolve, reject) => {
    let link: Link | undefined
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
          events.onBye()
          socket.end()
          timer = clock.timer(timeoutMs, end)
          return
        }
        if (!isAnswerOrHint(frame)) throw new Error('not an answer')
        events.onFrame(frame)
        return
      }
      if (!isHello(frame)) throw new Error('not a hello')
      timer.cancel()
      reader.maxBytes = maxFrameBytes(frame.hello.limits)
      link = {
        hello: frame,
        get full() {
          return writer.full
        },
        send: (text) => writer.write(text),
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
  socketPath,
  clock,
  timeoutMs,
  signal,
}: DialOptions): Promise<{ socket: Duplex; head: Buffer }> {
  return new Promise((resolve, reject) => {
    const call = request({
      socketPath,
      path: '/',
      agent: false,
      signal,
      headers: { Connection: 'Upgrade', Upgrade: PROTOCOL },
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
    call.on('response', ({ statusCode }) => fail(`it does not speak ${PROTOCOL}: HTTP ${statusCode}`))
    call.on('error', (error) => fail(error.message, error))
    call.end()
  })
}

function unavailable(message: string, cause?: unknown): SignalboxError {
  return new SignalboxError('unavailable', message, cause === undefined ? {} : { cause })
}
