/**
 * The agent's gRPC face: `comms.QueueService` of proto/comms/queue_service.proto, on this machine alone.
 *
 * Invariants:
 * - a subscriber hears the present status first, then each change, until the agent ends; one that goes away touches nobody else;
 * - `Shutdown` is answered when the place is gone; where that could not be made certain it fails with UNAVAILABLE.
 *
 * Loads gRPC: imported by the agent's process only.
 */
import {
  logVerbosity,
  Server,
  ServerCredentials,
  setLogVerbosity,
  status,
  type ServerWritableStream,
} from '@grpc/grpc-js'
import { SignalboxError } from '../../kernel/error.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Agent } from './agent.ts'
import {
  QueueServiceService,
  type QueueRequest,
  type QueueServiceServer,
  type QueueStatus,
} from './generated/comms/queue_service.ts'
import { describeListener } from './processes.ts'

/** Where clients of the reference look. */
export const DEFAULT_PORT = 50_051
const HOST = '127.0.0.1'
/** What clients get to hear the end. */
const FAREWELL_MS = 1_000

type Subscriber = ServerWritableStream<QueueRequest, QueueStatus>

// It would report a taken default port, which is no failure here, and every client that talks garbage.
setLogVerbosity(logVerbosity.NONE)

/** What the service needs of an agent. */
type Served = Pick<Agent, 'isFront' | 'onFront' | 'stop'>

export class QueueService {
  readonly #server = new Server()
  readonly #subscribers = new Set<Subscriber>()
  readonly #agent = Promise.withResolvers<Served>()

  constructor() {
    const calls: QueueServiceServer = {
      isFrontOfQueue: (_, answer) =>
        void this.#agent.promise.then((agent) => answer(null, { isFront: agent.isFront() })),
      subscribeQueueStatus: (call) => void this.#agent.promise.then((agent) => this.#subscribe(call, agent)),
      shutdown: (_, answer) =>
        void this.#agent.promise
          .then((agent) => agent.stop())
          .then(({ place, message }) =>
            place === 'unconfirmed'
              ? answer({ code: status.UNAVAILABLE, details: message })
              : answer(null, {}),
          ),
    }
    this.#server.addService(QueueServiceService, calls)
  }

  /**
   * @param port the one asked for; none: the default one if it is free, else any
   * @returns the address it got
   * @throws SignalboxError `address_in_use` that names who has the port, `permission_denied`
   */
  async listen(port: number | undefined): Promise<string> {
    try {
      return `${HOST}:${await this.#bind(port ?? DEFAULT_PORT)}`
    } catch (cause) {
      const reason = (cause as Error).message
      if (!reason.includes('EADDRINUSE')) {
        const what = `--port: cannot listen on ${HOST}:${port ?? DEFAULT_PORT} (${reason}); choose another port`
        throw new SignalboxError('permission_denied', what, { cause })
      }
      if (port === undefined) return `${HOST}:${await this.#bind(0)}`
      throw new SignalboxError(
        'address_in_use',
        `--port: ${port} on ${HOST} is taken by ${describeListener(port)}; choose another, or leave --port away`,
        { cause, details: { port } },
      )
    }
  }

  /** Answers from now on; calls that came before have waited. */
  serve(agent: Served): void {
    agent.onFront((isFront) => {
      for (const subscriber of this.#subscribers) subscriber.write({ isFront })
    })
    this.#agent.resolve(agent)
  }

  /** Ends every subscription, lets what is being answered be answered, and closes. */
  async close(clock: Clock): Promise<void> {
    for (const subscriber of this.#subscribers) subscriber.end()
    const late = clock.timer(FAREWELL_MS, () => this.#server.forceShutdown())
    await new Promise<void>((done) => {
      this.#server.tryShutdown(() => done())
    })
    late.cancel()
  }

  #subscribe(call: Subscriber, agent: Served): void {
    this.#subscribers.add(call)
    const gone = (): void => void this.#subscribers.delete(call)
    call.on('cancelled', gone)
    call.on('close', gone)
    call.on('error', gone)
    call.write({ isFront: agent.isFront() })
  }

  #bind(port: number): Promise<number> {
    return new Promise((done, failed) => {
      this.#server.bindAsync(`${HOST}:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) done(bound)
        else failed(error)
      })
    })
  }
}
