/**
 * The connection to Firestore: each remote call as a function, with its time limit, its errors in our words and what its
 * answer says about engine time.
 *
 * The calls go through the SDK's stub (`FirestoreClient.initialize`: credentials and transport) and not through its
 * methods, since those repeat a `Commit` by themselves after UNAVAILABLE: a commit that was applied and whose answer got
 * lost would then come back as a failed precondition.
 *
 * Invariants: a write is sent at most once (gRPC repeats only what the other side says it has not looked at); a read that
 * the engine or the network failed is repeated twice; every call ends, at the latest after its time limit.
 */
import type { ClientDuplexStream, ClientReadableStream, Metadata, ServiceError } from '@grpc/grpc-js'
import { backoffDelay } from '../../kernel/backoff.ts'
import { sleep, type Clock } from '../../kernel/clock.ts'
import type { SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import { EngineTime } from '../shared/engine-time.ts'
import {
  isAborted,
  isMissingDatabase,
  isMissingIndex,
  status,
  statusOf,
  translate,
  wasNeverSent,
  type Place,
} from './errors.ts'
import {
  toMs,
  type BatchGetRequest,
  type BatchGetResponse,
  type CommitRequest,
  type CommitResponse,
  type ListenRequest,
  type ListenResponse,
  type RunQueryRequest,
  type RunQueryResponse,
  type Timestamp,
} from './wire.ts'

type Answer<T> = (error: ServiceError | null, response?: T) => void

interface Cancellable {
  cancel(): void
}

/** The SDK's stub, as far as we use it. */
export interface Stub {
  commit(request: CommitRequest, metadata: Metadata, answer: Answer<CommitResponse>): Cancellable
  rollback(
    request: { readonly database: string; readonly transaction: Uint8Array },
    metadata: Metadata,
    answer: Answer<unknown>,
  ): Cancellable
  batchGetDocuments(request: BatchGetRequest, metadata: Metadata): ClientReadableStream<BatchGetResponse>
  runQuery(request: RunQueryRequest, metadata: Metadata): ClientReadableStream<RunQueryResponse>
  listen(metadata: Metadata): ClientDuplexStream<ListenRequest, ListenResponse>
}

export interface ConnectionOptions {
  readonly stub: Stub
  readonly metadata: Metadata
  readonly place: Place
  readonly clock: Clock
  readonly random: Random
  readonly timeoutMs: number
  readonly onRequest: (operation: string) => void
  /** Releases the stub's channel. */
  readonly close: () => Promise<void>
}

/** Takes the messages of a stream; false: enough, drop the rest. */
export type Sink<T> = (message: T) => boolean

const READ_ATTEMPTS = 3
const READ_BACKOFF = { baseMs: 100, maxMs: 1_000 }
const TRANSIENT: readonly (number | undefined)[] = [status.UNAVAILABLE, status.INTERNAL, status.UNKNOWN]
/** Between two answers wall and monotonic time may differ so much before we think that the machine slept. */
const SUSPECT_MS = 1_000

/** An error the caller looks at before it is translated. */
class CallFailure extends Error {
  readonly failure: unknown
  readonly timedOut: boolean

  constructor(failure: unknown, timedOut: boolean) {
    super('a call failed')
    this.failure = failure
    this.timedOut = timedOut
  }
}

export class Connection {
  readonly clock: Clock
  readonly random: Random
  readonly place: Place
  readonly #options: ConnectionOptions
  readonly #time = new EngineTime()
  #heardAt = { wall: 0, monotonic: 0 }

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.clock = options.clock
    this.random = options.random
    this.place = options.place
  }

  /** How long a call may take. */
  get timeoutMs(): number {
    return this.#options.timeoutMs
  }

  /**
   * Sends a commit, once.
   * @throws the gRPC error of a refusal that says "not applied" and needs judgement (`isRefusal`), else SignalboxError
   */
  async commit(request: CommitRequest): Promise<CommitResponse> {
    try {
      const response = await this.#unary<CommitResponse>('Commit', (answer) =>
        this.#options.stub.commit(request, this.#options.metadata, answer),
      )
      return response
    } catch (error) {
      throw isRefusal(error) ? (error.failure as Error) : this.#translate(error, 'Commit', true)
    }
  }

  /** Gives a transaction's locks back. Best effort: the engine ends idle transactions itself. */
  async rollback(database: string, transaction: Uint8Array): Promise<void> {
    await this.#unary('Rollback', (answer) =>
      this.#options.stub.rollback({ database, transaction }, this.#options.metadata, answer),
    ).catch(() => undefined)
  }

  /** @throws the gRPC error ABORTED as it is (transactions only), else SignalboxError */
  async batchGet(request: BatchGetRequest): Promise<readonly BatchGetResponse[]> {
    let messages: BatchGetResponse[] = []
    await this.#read(
      'BatchGetDocuments',
      () => this.#options.stub.batchGetDocuments(request, this.#options.metadata),
      () => {
        messages = []
        return (message) => messages.push(message) > 0
      },
    )
    return messages
  }

  /**
   * Runs a query.
   * @param start is called for each attempt and gives who takes the results.
   * @throws the gRPC error of a missing index (`isMissingIndex`) as it is, else SignalboxError
   */
  async query(request: RunQueryRequest, start: () => Sink<RunQueryResponse>): Promise<void> {
    await this.#read(
      'RunQuery',
      () => this.#options.stub.runQuery(request, this.#options.metadata),
      start,
      // The answer of a read in the past says nothing about now.
      request.readTime !== undefined,
    )
  }

  /** Opens the stream of a listener. */
  listen(): ClientDuplexStream<ListenRequest, ListenResponse> {
    this.#options.onRequest('Listen')
    return this.#options.stub.listen(this.#options.metadata)
  }

  translate(error: unknown, operation: string): SignalboxError {
    return translate(error, { place: this.place, operation, write: false })
  }

  /** Engine time; before the first answer this machine's, which may be off by anything. */
  now(): { readonly ms: number; readonly uncertaintyMs: number } {
    const monotonic = this.clock.monotonic()
    const known = this.#time.at(monotonic)
    if (known === undefined) return { ms: this.clock.now(), uncertaintyMs: Number.MAX_SAFE_INTEGER }
    // Monotonic time stops while the machine is suspended; then the next answer will tell.
    const apart = Math.abs(this.clock.now() - this.#heardAt.wall - (monotonic - this.#heardAt.monotonic))
    return apart < SUSPECT_MS ? known : { ms: known.ms, uncertaintyMs: known.uncertaintyMs + apart }
  }

  close(): Promise<void> {
    return this.#options.close()
  }

  #unary<T>(operation: string, call: (answer: Answer<T>) => Cancellable): Promise<T> {
    this.#options.onRequest(operation)
    const sentAt = this.clock.monotonic()
    return new Promise((resolve, reject) => {
      let timedOut = false
      const limit = this.clock.timer(this.timeoutMs, () => {
        timedOut = true
        sent.cancel()
      })
      const sent = call((error, response) => {
        limit.cancel()
        if (error !== null) {
          reject(new CallFailure(error, timedOut))
          return
        }
        this.#learn(sentAt, (response as { commitTime?: Timestamp | null }).commitTime)
        resolve(response as T)
      })
    })
  }

  async #read<T extends { readonly readTime: Timestamp | null }>(
    operation: string,
    open: () => ClientReadableStream<T>,
    start: () => Sink<T>,
    past = false,
  ): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        await this.#stream(operation, open, start(), past)
        return
      } catch (error) {
        const { failure, timedOut } = error as CallFailure
        if (isMissingIndex(failure) || isAborted(failure)) throw failure as Error
        const transient = TRANSIENT.includes(statusOf(failure)) && !timedOut && !wasNeverSent(failure)
        if (!transient || attempt + 1 >= READ_ATTEMPTS) throw this.#translate(error, operation, false)
        await sleep(this.clock, backoffDelay(READ_BACKOFF, attempt, this.random))
      }
    }
  }

  /** One attempt. The time limit counts from the last message. */
  #stream<T extends { readonly readTime: Timestamp | null }>(
    operation: string,
    open: () => ClientReadableStream<T>,
    sink: Sink<T>,
    past: boolean,
  ): Promise<void> {
    this.#options.onRequest(operation)
    const sentAt = this.clock.monotonic()
    return new Promise((resolve, reject) => {
      let heard = false
      let timedOut = false
      let done = false
      const stream = open()
      const watchdog = (): void => {
        if (heard) {
          heard = false
          limit = this.clock.timer(this.timeoutMs, watchdog)
          return
        }
        timedOut = true
        stream.cancel()
      }
      let limit = this.clock.timer(this.timeoutMs, watchdog)
      const end = (): void => {
        done = true
        limit.cancel()
      }
      stream.on('data', (message: T) => {
        if (done) return
        if (!heard && !past) this.#learn(sentAt, message.readTime)
        heard = true
        if (sink(message)) return
        end()
        stream.cancel()
        resolve()
      })
      stream.on('end', () => {
        end()
        resolve()
      })
      stream.on('error', (error) => {
        if (done) return
        end()
        reject(new CallFailure(error, timedOut))
      })
    })
  }

  #learn(sentAt: number, time: Timestamp | null | undefined): void {
    if (time === null || time === undefined) return
    const monotonic = this.clock.monotonic()
    this.#heardAt = { wall: this.clock.now(), monotonic }
    this.#time.learn(sentAt, monotonic, toMs(time), 0)
  }

  #translate(error: unknown, operation: string, write: boolean): SignalboxError {
    const { failure, timedOut } = error as CallFailure
    const limit = timedOut ? { timedOutAfterMs: this.timeoutMs } : {}
    return translate(failure, { place: this.place, operation, write, ...limit })
  }
}

/** Codes by which the engine says that a commit's preconditions failed, or that it lost against another. */
const REFUSALS: readonly (number | undefined)[] = [
  status.ALREADY_EXISTS,
  status.NOT_FOUND,
  status.FAILED_PRECONDITION,
]

function isRefusal(error: unknown): error is CallFailure {
  if (!(error instanceof CallFailure) || error.timedOut || isMissingDatabase(error.failure)) return false
  return REFUSALS.includes(statusOf(error.failure)) || isAborted(error.failure)
}
