/**
 * The `Listen` call: targets of one stream, their first answer, then what commits change of it.
 *
 * Per target: ADD, its documents, CURRENT; per commit that concerns any: the changes, then a snapshot for all targets
 * (NO_CHANGE without ids). A resume token is a time: with it only what changed since is told, then how many documents
 * match now. Events come after the commit's answer, as from a service.
 */
import type { ServerDuplexStream } from '@grpc/grpc-js'
import type { Database } from './database.ts'
import { code, Status, type Message } from './protocol.ts'
import { parseQuery, type Query } from './queries.ts'
import { toDocument, toTimestamp, type Stored } from './values.ts'

type Stream = ServerDuplexStream<Message, Message>

interface Target {
  readonly id: number
  readonly query: Query | undefined
  readonly names: readonly string[]
  /** What it has been told, by name. */
  told: Map<string, Stored>
}

/** Serves one stream until it ends. @param find the database that a request names */
export function serveListen(stream: Stream, find: (name: string) => Database): void {
  let database: Database | undefined
  const targets = new Map<number, Target>()
  const onCommit = (at: bigint): void => {
    setImmediate(() => {
      if (database === undefined) return
      let changed = false
      for (const target of targets.values()) changed = tell(stream, database, target, at) || changed
      if (changed) stream.write(change('NO_CHANGE', [], at))
    })
  }
  const end = (): void => {
    database?.listeners.delete(onCommit)
    targets.clear()
  }
  stream.on('cancelled', end)
  stream.on('close', end)
  stream.on('end', () => {
    end()
    stream.end()
  })
  stream.on('data', (request: Message) => {
    try {
      database ??= find(request.database)
      database.listeners.add(onCommit)
    } catch (error) {
      stream.emit('error', error)
      return
    }
    if (request.removeTarget) {
      targets.delete(request.removeTarget)
      stream.write(change('REMOVE', [request.removeTarget], database.readTime()))
    } else if (request.addTarget) {
      add(stream, database, targets, request.addTarget)
    }
  })
}

function add(stream: Stream, database: Database, targets: Map<number, Target>, request: Message): void {
  const id = request.targetId
  try {
    const query = request.query ? parseQuery(request.query.parent, request.query.structuredQuery) : undefined
    const target: Target = { id, query, names: request.documents?.documents ?? [], told: new Map() }
    const at = database.readTime()
    const since = resumeTime(request.resumeToken)
    if (since !== undefined) target.told = results(database, target, since)
    const isNew = since === undefined
    results(database, target, at)
    targets.set(id, target)
    stream.write(change('ADD', [id], undefined))
    if (isNew) missing(stream, database, target, at)
    tell(stream, database, target, at)
    if (!isNew) stream.write({ filter: { targetId: id, count: target.told.size } })
    stream.write(change('CURRENT', [id], at))
    stream.write(change('NO_CHANGE', [], at))
  } catch (error) {
    const { code: status, details } = error as Status
    stream.write({
      targetChange: {
        targetChangeType: 'REMOVE',
        targetIds: [id],
        cause: { code: status, message: details },
      },
    })
  }
}

/** Tells what of the target's answer has changed since it was told last. @returns whether anything has */
function tell(stream: Stream, database: Database, target: Target, at: bigint): boolean {
  const now = results(database, target, at)
  let changed = false
  for (const [name, document] of now) {
    if (target.told.get(name)?.updatedAt === document.updatedAt) continue
    changed = true
    stream.write({
      documentChange: { document: toDocument(document), targetIds: [target.id], removedTargetIds: [] },
    })
  }
  for (const name of target.told.keys()) {
    if (now.has(name)) continue
    changed = true
    const gone = { document: name, removedTargetIds: [target.id], readTime: toTimestamp(at) }
    // It still exists, but no longer belongs to the answer.
    stream.write(database.get(name, at) === undefined ? { documentDelete: gone } : { documentRemove: gone })
  }
  target.told = now
  return changed
}

/** A target of single documents is told which of them are not there. */
function missing(stream: Stream, database: Database, { id, names }: Target, at: bigint): void {
  for (const name of names) {
    if (database.get(name, at) !== undefined) continue
    stream.write({ documentDelete: { document: name, removedTargetIds: [id], readTime: toTimestamp(at) } })
  }
}

function results(database: Database, { query, names }: Target, at: bigint): Map<string, Stored> {
  const documents = query ? database.query(query, at) : names.flatMap((name) => database.get(name, at) ?? [])
  return new Map(documents.map((document) => [document.name, document]))
}

function change(targetChangeType: string, targetIds: readonly number[], at: bigint | undefined): Message {
  const time = at === undefined ? {} : { readTime: toTimestamp(at), resumeToken: Buffer.from(`at ${at}`) }
  return { targetChange: { targetChangeType, targetIds, ...time } }
}

function resumeTime(token: Buffer | undefined): bigint | undefined {
  if (token === undefined || token.length === 0) return undefined
  const [, time] = /^at (\d+)$/.exec(token.toString()) ?? []
  if (time === undefined) throw new Status(code.INVALID_ARGUMENT, 'invalid resume token')
  return BigInt(time)
}
