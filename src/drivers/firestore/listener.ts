/**
 * The listener: one `Listen` stream that carries all watches of a store, a target for each range watched.
 *
 * What the engine tells is used as a hint only. A target that has become CURRENT has told everything up to then; so each
 * CURRENT is a hint, every later event of it is one, and the documents before it need none.
 *
 * Invariants:
 * - no change goes without a hint: a broken stream is opened again (back-off with jitter), its targets go on from their
 *   resume tokens, and their next CURRENT hints;
 * - a target that the engine refuses for good ends its watches with the error, and only its own;
 * - without watches there is no stream. An idle connection that was cut is noticed by the transport's keepalive.
 */
import type { ClientDuplexStream } from '@grpc/grpc-js'
import { backoffDelay } from '../../kernel/backoff.ts'
import type { Timer } from '../../kernel/clock.ts'
import type { SignalboxError } from '../../kernel/error.ts'
import type { Connection } from './connection.ts'
import { status } from './errors.ts'
import type { ListenRequest, ListenResponse, TargetSource } from './wire.ts'

type Stream = ClientDuplexStream<ListenRequest, ListenResponse>

/** Whom a target tells. */
export interface Watcher {
  hint(): void
  /** The engine refuses this target for good. */
  fail(error: SignalboxError): void
}

interface Target {
  readonly id: number
  readonly source: TargetSource
  readonly watchers: Set<Watcher>
  /** From where the engine may go on when the stream is opened again. */
  resumeToken: Uint8Array | undefined
  current: boolean
}

const BACKOFF = { baseMs: 250, maxMs: 30_000 }

/** What will not get better by trying again. */
const PERMANENT: readonly number[] = [
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.PERMISSION_DENIED,
  status.FAILED_PRECONDITION,
  status.UNIMPLEMENTED,
]

export class Listener {
  readonly #connection: Connection
  readonly #database: string
  readonly #targets = new Map<string, Target>()
  #stream: Stream | undefined
  #reopening: Timer | undefined
  #failures = 0
  #lastId = 0

  constructor(connection: Connection, database: string) {
    this.#connection = connection
    this.#database = database
  }

  /**
   * Starts to tell a watcher of the changes of a source.
   * @param name the same for equal sources: their watchers share a target.
   * @returns stops it; idempotent
   */
  add(name: string, source: TargetSource, watcher: Watcher): () => void {
    let target = this.#targets.get(name)
    if (target === undefined) {
      target = { id: ++this.#lastId, source, watchers: new Set(), resumeToken: undefined, current: false }
      this.#targets.set(name, target)
      if (this.#stream === undefined && this.#reopening === undefined) this.#open()
      else this.#request(target)
    }
    const { watchers } = target
    watchers.add(watcher)
    return () => {
      if (watchers.delete(watcher) && watchers.size === 0) this.#drop(name)
    }
  }

  /** Ends the stream; the watchers are told nothing. */
  close(): void {
    this.#targets.clear()
    this.#end()
  }

  #open(): void {
    this.#reopening = undefined
    const stream = this.#connection.listen()
    this.#stream = stream
    stream.on('data', (message: ListenResponse) => {
      if (stream === this.#stream) this.#take(message)
    })
    stream.on('error', (error) => this.#broken(stream, error))
    stream.on('end', () => this.#broken(stream, undefined))
    for (const target of this.#targets.values()) {
      target.current = false
      this.#request(target)
    }
  }

  #request({ id, source, resumeToken }: Target): void {
    const resume = resumeToken === undefined ? {} : { resumeToken }
    this.#stream?.write({ database: this.#database, addTarget: { ...source, targetId: id, ...resume } })
  }

  #drop(name: string): void {
    const target = this.#targets.get(name)
    if (target === undefined) return
    this.#targets.delete(name)
    if (this.#targets.size === 0) this.#end()
    else this.#stream?.write({ database: this.#database, removeTarget: target.id })
  }

  #end(): void {
    this.#reopening?.cancel()
    this.#reopening = undefined
    const stream = this.#stream
    this.#stream = undefined
    stream?.cancel()
  }

  #take({ targetChange, documentChange, documentDelete, documentRemove, filter }: ListenResponse): void {
    if (targetChange) this.#takeTargetChange(targetChange)
    if (documentChange) this.#hint([...documentChange.targetIds, ...documentChange.removedTargetIds])
    if (documentDelete) this.#hint(documentDelete.removedTargetIds)
    if (documentRemove) this.#hint(documentRemove.removedTargetIds)
    // How many documents should match; a resumed listener may have missed that one is gone.
    if (filter) this.#hint([filter.targetId])
  }

  #takeTargetChange(change: NonNullable<ListenResponse['targetChange']>): void {
    for (const [name, target] of this.#targets) {
      if (change.targetIds.length > 0 && !change.targetIds.includes(target.id)) continue
      if (change.resumeToken.length > 0) target.resumeToken = change.resumeToken
      if (change.targetChangeType === 'RESET') target.current = false
      if (change.targetChangeType === 'CURRENT') {
        this.#failures = 0
        target.current = true
        for (const watcher of target.watchers) watcher.hint()
      }
      if (change.targetChangeType === 'REMOVE') this.#removed(name, target, change.cause)
    }
  }

  /** The engine gave a target up. */
  #removed(
    name: string,
    target: Target,
    cause: { readonly code: number; readonly message: string } | null,
  ): void {
    const stream = this.#stream
    if (cause === null || !PERMANENT.includes(cause.code)) {
      if (stream !== undefined) this.#broken(stream, undefined)
      return
    }
    if (target.resumeToken !== undefined) {
      // It may be the token that is refused.
      target.resumeToken = undefined
      target.current = false
      this.#request(target)
      return
    }
    this.#targets.delete(name)
    if (this.#targets.size === 0) this.#end()
    this.#fail(target, Object.assign(new Error(cause.message), { code: cause.code, details: cause.message }))
  }

  #broken(stream: Stream, error: unknown): void {
    if (stream !== this.#stream) return
    this.#stream = undefined
    stream.cancel()
    const code = (error as { readonly code?: number } | undefined)?.code
    if (code !== undefined && PERMANENT.includes(code)) {
      const targets = [...this.#targets.values()]
      this.#targets.clear()
      for (const target of targets) this.#fail(target, error)
      return
    }
    const delay = backoffDelay(BACKOFF, this.#failures++, this.#connection.random)
    this.#reopening = this.#connection.clock.timer(delay, () => this.#open())
  }

  #fail(target: Target, error: unknown): void {
    const translated = this.#connection.translate(error, 'Listen')
    for (const watcher of target.watchers) watcher.fail(translated)
  }

  #hint(ids: readonly number[]): void {
    for (const target of this.#targets.values()) {
      if (!target.current || !ids.includes(target.id)) continue
      for (const watcher of target.watchers) watcher.hint()
    }
  }
}
