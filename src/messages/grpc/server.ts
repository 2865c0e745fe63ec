/**
 * The gRPC server of the message capability: both services, health, reflection; on loopback, a Unix socket or wherever it is
 * told, with TLS if it is given a certificate.
 *
 * Stop: NOT_SERVING → no new receives, streams drain → calls that settle are served until nothing is in flight or the grace
 * has passed → what streams hold still goes back → closed.
 */
import { logVerbosity, Server, ServerCredentials, setLogVerbosity } from '@grpc/grpc-js'
import { ReflectionService } from '@grpc/reflection'
import { HealthImplementation } from 'grpc-health-check'
import { sleep, type Clock } from '../../kernel/clock.ts'
import { SignalboxError } from '../../kernel/error.ts'
import type { Desk } from '../desk.ts'
import type { CallGuard } from './access.ts'
import { Consumers } from './consume.ts'
import { fileDescriptors } from './generated/descriptors.ts'
import { MessagesServiceService } from './generated/signalbox/messages/v1/messages.ts'
import { SQSServiceService } from './generated/sqs/sqs_service.ts'
import { messagesCalls } from './messages-service.ts'
import { sqsService, type CallLog } from './sqs-service.ts'
import { Undelivered } from './unary.ts'

export interface MessagesServerOptions {
  readonly desk: Desk
  readonly clock: Clock
  /** How long a receive of the reference's service waits that does not say so. */
  readonly waitMs: number
  readonly log?: CallLog
  readonly logBodies?: boolean
  readonly onTrouble?: (queue: string, error: SignalboxError) => void
  /** Asks who calls. Default: whoever reaches this server may use it. */
  readonly guard?: CallGuard
}

export interface ServerAddress {
  /** `127.0.0.1:50051`, `[::1]:0`, or `unix:/run/signalbox.sock` */
  readonly address: string
  readonly tls?: { readonly certificate: Buffer; readonly key: Buffer; readonly clientAuthority?: Buffer }
}

const NAMES = ['', 'sqs.SQSService', 'signalbox.messages.v1.MessagesService']
/** A batch of 1 MiB and what surrounds it. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024
/** What is sent: ten messages of 1 MiB may come in one receive. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024
const OPTIONS = {
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_ANSWER_BYTES,
  'grpc.max_concurrent_streams': 1_000,
  // A client that is gone without a word is noticed, and its messages return.
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
}
/** Whether everything is settled is looked at so often while stopping. */
const LOOK_MS = 50
/** What is left of calls when all else is done gets this long. */
const FAREWELL_MS = 500

// It would report every client that talks garbage.
setLogVerbosity(logVerbosity.NONE)

export class MessagesServer {
  readonly #server: Server
  readonly #health = new HealthImplementation(Object.fromEntries(NAMES.map((name) => [name, 'SERVING'])))
  readonly #consumers: Consumers
  readonly #options: MessagesServerOptions
  #stopped: Promise<void> | undefined

  constructor(options: MessagesServerOptions) {
    const { desk, waitMs, log, logBodies = false, onTrouble, guard } = options
    this.#options = options
    const undelivered = new Undelivered()
    const interceptors = [...(guard === undefined ? [] : [guard.interceptor]), undelivered.interceptor()]
    this.#server = new Server({ ...OPTIONS, interceptors })
    this.#consumers = new Consumers({
      clock: options.clock,
      service: desk.service,
      ...(guard === undefined ? {} : { guard }),
      ...(onTrouble === undefined ? {} : { onTrouble }),
    })
    const quiet: CallLog = () => undefined
    this.#server.addService(
      SQSServiceService,
      sqsService({ desk, undelivered, waitMs, log: log ?? quiet, logBodies }),
    )
    this.#server.addService(MessagesServiceService, {
      ...messagesCalls({ desk, undelivered }),
      consume: this.#consumers.serve,
    })
    this.#health.addToServer(this.#server)
    new ReflectionService(descriptors()).addToServer(this.#server)
  }

  /** Messages with clients, by streams and by answered receives. */
  get inFlight(): number {
    return this.#consumers.held + this.#options.desk.inFlight
  }

  get consumers(): number {
    return this.#consumers.open
  }

  /**
   * @returns the port it got; 0 on a socket
   * @throws SignalboxError `address_in_use`, `permission_denied`, `config_invalid` (a certificate that cannot work)
   */
  async listen({ address, tls }: ServerAddress): Promise<number> {
    let credentials: ServerCredentials
    try {
      credentials =
        tls === undefined
          ? ServerCredentials.createInsecure()
          : ServerCredentials.createSsl(
              tls.clientAuthority ?? null,
              [{ cert_chain: tls.certificate, private_key: tls.key }],
              tls.clientAuthority !== undefined,
            )
    } catch (cause) {
      const what = `the TLS certificate or key cannot be used (${(cause as Error).message}); give PEM files`
      throw new SignalboxError('config_invalid', what, { cause })
    }
    return new Promise((done, failed) => {
      this.#server.bindAsync(address, credentials, (error, port) => {
        if (error === null) done(port)
        else failed(listenProblem(error, address))
      })
    })
  }

  /** NOT_SERVING from now on, so that clients look elsewhere; everything is served still. */
  leave(): void {
    for (const name of NAMES) this.#health.setStatus(name, 'NOT_SERVING')
  }

  /** Idempotent. Resolves when all is closed; what is not settled within the grace has gone back to its queue. */
  stop(graceMs: number): Promise<void> {
    return (this.#stopped ??= this.#stop(graceMs))
  }

  async #stop(graceMs: number): Promise<void> {
    const { clock, desk } = this.#options
    const end = clock.monotonic() + graceMs
    this.leave()
    desk.drain()
    this.#consumers.drain()
    while (clock.monotonic() < end && (this.inFlight > 0 || this.#consumers.open > 0)) {
      await sleep(clock, Math.min(LOOK_MS, end - clock.monotonic()))
    }
    await within(clock, Math.max(end - clock.monotonic(), FAREWELL_MS), this.#consumers.close())
    await within(clock, FAREWELL_MS, desk.settled())
    const closed = new Promise<void>((done) => {
      this.#server.tryShutdown(() => done())
    })
    await within(clock, FAREWELL_MS, closed)
    this.#server.forceShutdown()
  }
}

async function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<void> {
  const late = new AbortController()
  await Promise.race([work, sleep(clock, ms, late.signal).catch(() => undefined)])
  late.abort()
}

/** For reflection: the proto files' descriptors as proto-loader would give them. */
function descriptors(): ConstructorParameters<typeof ReflectionService>[0] {
  const fileDescriptorProtos = fileDescriptors.map((text) => Buffer.from(text, 'base64'))
  return { signalbox: { format: 'Protocol Buffer 3 DescriptorProto', type: {}, fileDescriptorProtos } }
}

function listenProblem(cause: Error, address: string): SignalboxError {
  if (/EADDRINUSE/.test(cause.message)) {
    return new SignalboxError('address_in_use', `${address} is taken; stop who has it, or choose another`, {
      cause,
    })
  }
  const what = `cannot listen on ${address} (${cause.message}); choose another address`
  return new SignalboxError('permission_denied', what, { cause })
}
