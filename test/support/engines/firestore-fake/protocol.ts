/**
 * Firestore's protocol as the SDK package ships it, and a bare client of it for tests: nothing is repeated, translated
 * or hidden.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import {
  credentials,
  loadPackageDefinition,
  Metadata,
  type ClientDuplexStream,
  type ClientReadableStream,
  type GrpcObject,
  type ServiceClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'

/** A message as JSON; its shape is the proto's. */
// oxlint-disable-next-line typescript/no-explicit-any -- what comes over the wire is as its sender made it
export type Message = any

/** gRPC status codes, as in google/rpc/code.proto. */
export const code = {
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
} as const

/** Any failure of a call: the status that the caller gets. */
export class Status extends Error {
  readonly code: number
  readonly details: string

  constructor(status: number, details: string) {
    super(details)
    this.code = status
    this.details = details
  }
}

export const Firestore: ServiceClientConstructor = load()

function load(): ServiceClientConstructor {
  const sdk = dirname(createRequire(import.meta.url).resolve('@google-cloud/firestore/package.json'))
  const json = JSON.parse(readFileSync(join(sdk, 'build/protos/v1.json'), 'utf8')) as Parameters<
    typeof fromJSON
  >[0]
  const options = { keepCase: false, longs: String, enums: String, defaults: true, oneofs: true }
  const loaded = loadPackageDefinition(fromJSON(json, options))
  const at = ['google', 'firestore', 'v1', 'Firestore']
  return at.reduce<unknown>((o, name) => (o as GrpcObject)[name], loaded) as ServiceClientConstructor
}

export interface BareClient {
  commit(request: Message): Promise<Message>
  beginTransaction(request: Message): Promise<Message>
  rollback(request: Message): Promise<Message>
  batchGetDocuments(request: Message): Promise<Message[]>
  runQuery(request: Message): Promise<Message[]>
  listen(): ClientDuplexStream<Message, Message>
  close(): void
}

/** A client that shows what the engine says. Calls reject with the gRPC error. */
export function bareClient(host: string): BareClient {
  const client = new Firestore(host, credentials.createInsecure())
  const metadata = new Metadata()
  metadata.set('authorization', 'Bearer owner')
  const call = (method: string, ...rest: unknown[]): unknown =>
    (client[method] as (...parts: unknown[]) => unknown).call(client, ...rest)
  const unary = (method: string) => (request: Message) =>
    new Promise<Message>((resolve, reject) => {
      call(method, request, metadata, (error: ServiceError | null, response: Message) =>
        error === null ? resolve(response) : reject(error),
      )
    })
  const stream = (method: string) => (request: Message) =>
    new Promise<Message[]>((resolve, reject) => {
      const messages: Message[] = []
      const answer = call(method, request, metadata) as ClientReadableStream<Message>
      answer.on('data', (message) => messages.push(message))
      answer.on('error', reject)
      answer.on('end', () => resolve(messages))
    })
  return {
    commit: unary('commit'),
    beginTransaction: unary('beginTransaction'),
    rollback: unary('rollback'),
    batchGetDocuments: stream('batchGetDocuments'),
    runQuery: stream('runQuery'),
    listen: () => call('listen', metadata) as ClientDuplexStream<Message, Message>,
    close: () => client.close(),
  }
}
