/**
 * How a unary call is answered: by what its function returns, or by the status of the error it throws.
 *
 * Invariant: what was received for a caller who gave up before the answer had left goes back to the queue at once, also when
 * the answer was written and stuck in the connection. `undelivered` sees to the latter: a call that ends after its
 * message was handed to the transport and before its status was is one whose answer did not get through.
 */
import {
  Metadata,
  ServerInterceptingCall,
  status,
  type handleUnaryCall,
  type sendUnaryData,
  type ServerInterceptor,
  type ServiceError,
} from '@grpc/grpc-js'
import { toSignalboxError } from '../../kernel/error.ts'

export interface CallFacts {
  /** Aborts when the caller cancels, hangs up or runs out of time. */
  readonly signal: AbortSignal
}

/** What to do when an answer did not reach the transport's other side, by answer. */
export class Undelivered {
  readonly #takeBack = new WeakMap<object, () => void>()

  /** `takeBack` runs at most once. */
  watch(answer: object, takeBack: () => void): void {
    this.#takeBack.set(answer, takeBack)
  }

  interceptor(): ServerInterceptor {
    return (method, call) => {
      if (!/\/Receive(Message)?$/.test(method.path)) return new ServerInterceptingCall(call)
      let written: object | undefined
      return new ServerInterceptingCall(call, {
        start: (next) =>
          next({
            onReceiveMetadata: (metadata, proceed) => proceed(metadata),
            onReceiveMessage: (message, proceed) => proceed(message),
            onReceiveHalfClose: (proceed) => proceed(),
            onCancel: () => {
              const takeBack = written === undefined ? undefined : this.#takeBack.get(written)
              written = undefined
              takeBack?.()
            },
          }),
        sendMessage: (message, next) => {
          written = message as object
          next(message)
        },
        sendStatus: (answered, next) => {
          written = undefined
          next(answered)
        },
      })
    }
  }
}

export function unary<Request, Answer>(
  run: (request: Request, facts: CallFacts) => Promise<Answer>,
): handleUnaryCall<Request, Answer> {
  return (call, answer: sendUnaryData<Answer>) => {
    const gone = new AbortController()
    let answered = false
    // grpc-js says so of every call that has ended.
    call.on('cancelled', () => answered || gone.abort())
    const end: sendUnaryData<Answer> = (error, value) => {
      answered = true
      answer(error, value)
    }
    run(call.request, { signal: gone.signal }).then(
      (value) => end(null, value),
      (error: unknown) => end(statusOf(error)),
    )
  }
}

/**
 * Resolves when what had arrived on connections by now has been read: a cancellation among it must not be overtaken by an answer.
 * (One that is still on its way when the answer leaves cannot be told from one that comes too late.)
 */
export async function allIsRead(): Promise<void> {
  for (let turns = 0; turns < 2; turns++) await new Promise((done) => setImmediate(done))
}

/** For clients that know Signalbox's codes, which say more than gRPC's. */
export const CODE_KEY = 'signalbox-code'

export function statusOf(thrown: unknown): Pick<ServiceError, 'code' | 'details' | 'metadata'> {
  if ((thrown as Error | undefined)?.name === 'AbortError') {
    return { code: status.CANCELLED, details: 'the caller gave up', metadata: new Metadata() }
  }
  const error = toSignalboxError(thrown)
  const metadata = new Metadata()
  metadata.set(CODE_KEY, error.code)
  const details = error.code === 'internal' ? 'internal error' : error.message
  const code = error.details['unsupported'] === true ? status.UNIMPLEMENTED : error.facts.grpc
  return { code, details, metadata }
}
