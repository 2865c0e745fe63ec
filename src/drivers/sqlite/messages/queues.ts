/**
 * The queues of a data file: what was declared, kept in memory beside the table.
 *
 * Invariant: memory follows the table after each durable declaration, and is read again when an outcome was unknown.
 */
import { checkQueueName, queueNotFound } from '../../../ports/message-checks.ts'
import type { QueueFacts } from '../../../ports/message-queue.ts'
import type { Database } from '../database.ts'

export interface Queue {
  /** Of its row. */
  readonly id: number
  readonly name: string
  facts: QueueFacts
}

const SELECT_ALL = 'SELECT id, name, facts FROM message_queues ORDER BY name'
const SELECT_ONE = 'SELECT id FROM message_queues WHERE name = ?'
const INSERT = 'INSERT INTO message_queues (name, facts, total) VALUES (?, ?, 0)'
const UPDATE = 'UPDATE message_queues SET facts = ? WHERE id = ?'

export class Queues {
  readonly #byName = new Map<string, Queue>()

  constructor(db: Database) {
    this.load(db)
  }

  /** Reads what is declared. Queues that are known stay the same objects. */
  load(db: Database): void {
    const rows = db.prepare(SELECT_ALL).all() as unknown as [id: number, name: string, facts: string][]
    for (const [id, name, json] of rows) this.put(id, JSON.parse(json) as QueueFacts, name)
  }

  put(id: number, facts: QueueFacts, name = facts.name): void {
    const known = this.#byName.get(name)
    if (known === undefined) this.#byName.set(name, { id, name, facts })
    else known.facts = facts
  }

  /** @throws SignalboxError `invalid_argument`, `not_found` */
  get(name: string): Queue {
    const queue = this.#byName.get(name)
    if (queue !== undefined) return queue
    checkQueueName(name)
    throw queueNotFound(name, 'declare it in the configuration')
  }

  find(name: string): Queue | undefined {
    return this.#byName.get(name)
  }

  get all(): Iterable<Queue> {
    return this.#byName.values()
  }

  get names(): string[] {
    return [...this.#byName.keys()].toSorted()
  }
}

/** Writes a declaration, within a transaction. @returns the queue's id */
export function declare(db: Database, facts: QueueFacts): number {
  const json = JSON.stringify(facts)
  const found = db.prepare(SELECT_ONE).get(facts.name) as unknown as [id: number] | undefined
  if (found === undefined) return Number(db.prepare(INSERT).run(facts.name, json).lastInsertRowid)
  db.prepare(UPDATE).run(json, found[0])
  return found[0]
}
