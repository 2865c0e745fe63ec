/**
 * A Firestore in this process, for tests: the real protocol over gRPC, data in memory. It speaks what a store needs
 * (reads, queries, commits with preconditions, transactions, listeners) and refuses the rest; `behaviour.ts` holds it, and
 * other engines, to what Firestore documents.
 */
import {
  Server,
  ServerCredentials,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
} from '@grpc/grpc-js'
import { Database } from './database.ts'
import { Faults, type Method } from './faults.ts'
import { serveListen } from './listening.ts'
import { code, Firestore, Status, type Message } from './protocol.ts'
import { parseQuery, type Index } from './queries.ts'
import { toDocument, toTimestamp } from './values.ts'

export interface FirestoreFakeOptions {
  /** Default 0: a free one. */
  readonly port?: number
  /** Composite indexes; queries that need another are refused. Without this every query is served. */
  readonly indexes?: readonly Index[]
  /** Ids of the databases that exist; default: any. */
  readonly databases?: readonly string[]
  /** Milliseconds since the epoch; default: the machine's. */
  readonly now?: () => number
}

export interface FirestoreFake {
  /** `host:port` */
  readonly host: string
  /** Calls so far by method. */
  readonly requests: Map<Method, number>
  readonly faults: Faults
  /** Ends every listener's stream with an error. */
  cutListeners(status?: number): void
  /** Ends at once, whatever is under way. */
  close(): Promise<void>
}

/** The composite index that dynamo-q's collection has. */
export function referenceIndex(collection: string): Index {
  const fields = ['queueName', 'entryTimestamp', '__name__'].map((path) => ({
    path,
    order: 'ASCENDING' as const,
  }))
  return { collection, fields }
}

export async function startFirestoreFake(options: FirestoreFakeOptions = {}): Promise<FirestoreFake> {
  const { now = () => performance.timeOrigin + performance.now() } = options
  const databases = new Map<string, Database>()
  const requests = new Map<Method, number>()
  const faults = new Faults()
  const listeners = new Set<ServerDuplexStream<Message, Message>>()

  const database = (path: string): Database => {
    const [, name = '', id = ''] = /^(projects\/[^/]+\/databases\/([^/]+))/.exec(path) ?? []
    if (options.databases !== undefined && !options.databases.includes(id)) {
      throw new Status(
        code.NOT_FOUND,
        `The database ${id} does not exist for project ${name.split('/')[1] ?? ''}`,
      )
    }
    const known = databases.get(name)
    if (known !== undefined) return known
    const created = new Database(() => BigInt(Math.floor(now() * 1_000)), options.indexes)
    databases.set(name, created)
    return created
  }

  const through = async <T>(method: Method, effect: () => T): Promise<T> => {
    requests.set(method, (requests.get(method) ?? 0) + 1)
    await faults.pass(method, 'before')
    const result = effect()
    await faults.pass(method, 'after')
    return result
  }
  const unary =
    (method: Method, effect: (request: Message) => Message) =>
    (call: ServerUnaryCall<Message, Message>, answer: sendUnaryData<Message>): void => {
      through(method, () => effect(call.request)).then(
        (response: Message) => answer(null, response),
        (error: Status) => answer(error),
      )
    }
  const streaming =
    (method: Method, effect: (request: Message) => Message[]) =>
    (call: ServerWritableStream<Message, Message>): void => {
      through(method, () => effect(call.request)).then(
        (responses) => {
          for (const response of responses) call.write(response)
          call.end()
        },
        (error: Status) => call.emit('error', error),
      )
    }

  const server = new Server({ 'grpc.max_receive_message_length': 10 * 1024 * 1024 })
  server.addService(Firestore.service, {
    beginTransaction: unary('BeginTransaction', (request) => ({
      transaction: database(request.database).begin(request.options),
    })),
    rollback: unary('Rollback', (request) => {
      database(request.database).rollback(request.transaction)
      return {}
    }),
    commit: unary('Commit', (request) => {
      const { writeResults, at } = database(request.database).commit(request.writes, request.transaction)
      return { writeResults, commitTime: toTimestamp(at) }
    }),
    batchGetDocuments: streaming('BatchGetDocuments', (request) =>
      batchGet(database(request.database), request),
    ),
    runQuery: streaming('RunQuery', (request) => runQuery(database(request.parent), request)),
    listen: (stream: ServerDuplexStream<Message, Message>) => {
      listeners.add(stream)
      stream.on('close', () => listeners.delete(stream))
      stream.on('cancelled', () => listeners.delete(stream))
      through('Listen', () => serveListen(stream, database)).catch((error: Status) =>
        stream.emit('error', error),
      )
    },
  })

  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${options.port ?? 0}`, ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    )
  })
  return {
    host: `127.0.0.1:${port}`,
    requests,
    faults,
    cutListeners: (status = code.UNAVAILABLE) => {
      for (const stream of listeners)
        stream.emit('error', new Status(status, 'injected: the listener was cut'))
    },
    close: () => Promise.resolve(server.forceShutdown()),
  }
}

function batchGet(database: Database, request: Message): Message[] {
  const transaction = request.newTransaction ? database.begin(request.newTransaction) : request.transaction
  const at = database.readAt({ ...request, transaction })
  const readTime = toTimestamp(at)
  const answers: Message[] = request.documents.map((name: string) => {
    const document = database.get(name, at, transaction)
    return document === undefined ? { missing: name, readTime } : { found: toDocument(document), readTime }
  })
  return request.newTransaction ? [{ transaction }, ...answers] : answers
}

function runQuery(database: Database, request: Message): Message[] {
  const query = parseQuery(request.parent, request.structuredQuery)
  const transaction = request.newTransaction ? database.begin(request.newTransaction) : request.transaction
  const at = database.readAt({ ...request, transaction })
  const readTime = toTimestamp(at)
  const documents: Message[] = database
    .query(query, at, transaction)
    .map((document) => ({ document: toDocument(document), readTime }))
  if (request.newTransaction) return [{ transaction }, ...documents]
  return documents.length > 0 ? documents : [{ readTime }]
}
