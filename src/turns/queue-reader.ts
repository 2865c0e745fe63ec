/**
 * What a mailbox knows of its queue, and how it reads the rest.
 *
 * Next to a server's own store a read costs little, and many wait here: the control record is read each time, and
 * positions are exact for all. Serverless, every read is a request for one member: control and beats come in one, what
 * was read a moment ago will do, and only as much of the line is read as a decision, or the member's position, needs. Either
 * way a commit tells whether what it rests on was too old.
 */
import type { Clock } from '../kernel/clock.ts'
import type { Random } from '../kernel/id.ts'
import type { Store } from '../ports/store.ts'
import type { Command, MemberFacts } from './commands.ts'
import { loadPosted, mayEmpty } from './inbox.ts'
import type { Observer } from './observer.ts'
import { compareInLine, controlKey, memberKey, type Member, type Posted } from './records.ts'
import type { QueueState } from './queue-state.ts'
import { isDeepEnough, loadBeats, loadFacts, loadState } from './state-loader.ts'

export interface ReaderContext {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly serverless: boolean
  readonly observer: Observer
  /** Control and beats have been read. */
  readonly onLooked: () => void
}

/** Serverless: what was read so recently need not be read again. */
const FRESH_MS = 500
/** From then on what does not fit together is not on its way, but was changed from outside. */
const TRUSTING_ATTEMPTS = 10
/** So often a posted join may give way to others. */
const PATIENT_ATTEMPTS = 20
/** A few attempts later somebody else's posted join may be what is in the way. */
const OTHERS_ATTEMPTS = 3

export class QueueReader {
  readonly #queue: string
  readonly #context: ReaderContext
  #state: QueueState | undefined
  /** Monotonic ms at which `#state` was the present one. */
  #loadedAt = -Infinity
  /** Serverless: members behind the known part of the line. They are there as long as the line keeps its shape. */
  readonly #behind = new Map<string, { readonly member: Member; readonly shape: number }>()

  #isReused = false
  /** Serverless: the keys of joins posted here. */
  readonly #posted = new Map<string, string>()

  constructor(queue: string, context: ReaderContext) {
    this.#queue = queue
    this.#context = context
  }

  /** What is known; undefined: nothing that could be relied on. */
  get state(): QueueState | undefined {
    return this.#state
  }

  /** A member that waits here behind the known part of the line. */
  behind(id: string): Member | undefined {
    return this.#behind.get(id)?.member
  }

  forget(): void {
    this.#state = undefined
  }

  /** Takes over what a commit has made. @param decided the control record was written */
  adopt(state: QueueState, decided: boolean): void {
    this.#state = state
    if (decided) this.#loadedAt = this.#context.clock.monotonic()
  }

  /** What `load` gave was not read for it, but a moment before. */
  get isReused(): boolean {
    return this.#isReused
  }

  /**
   * The state for these commands.
   * @param attempt 0 for the first
   * @returns undefined when it is being changed at this moment: load again
   */
  async load(commands: readonly Command[], attempt: number): Promise<QueueState | undefined> {
    this.#isReused = false
    const state = await (this.#context.serverless
      ? this.#loadSparingly(commands, attempt)
      : this.#loadNextDoor(attempt))
    this.#state = state
    return state
  }

  /** A member has left: nothing need be remembered of it. */
  left(id: string): void {
    this.#behind.delete(id)
    this.#posted.delete(id)
  }

  /** Control and beats, for the observer. */
  async look(): Promise<void> {
    await this.#beats()
  }

  facts(commands: readonly Command[], state: QueueState): Promise<MemberFacts[]> {
    return Promise.all(commands.map((command) => this.#factsFor(command, state)))
  }

  /** Serverless: this member's join is in the inbox. */
  notePosted(id: string, key: string): void {
    this.#posted.set(id, key)
  }

  /** Serverless: should these commands wait, since all are joins that somebody else may let in? */
  async isPatient(commands: readonly Command[], attempt: number): Promise<boolean> {
    const { store, random } = this.#context
    for (const command of commands) {
      const key = 'id' in command ? this.#posted.get(command.id) : undefined
      if (key === undefined || !('id' in command)) return false
      const record = await store.get(memberKey(this.#queue, command.id))
      if ((record?.value as Member | undefined)?.posted !== key) {
        this.#posted.delete(command.id)
        return false
      }
      if (attempt >= PATIENT_ATTEMPTS || (await mayEmpty(store, this.#queue, key, random))) return false
    }
    return true
  }

  /** The inbox, if a member of these facts is in it. */
  async posted(facts: readonly MemberFacts[], attempt: number): Promise<ReadonlyMap<string, Posted>> {
    const own = new Set(facts.flatMap(({ member }) => member?.posted ?? []))
    if (own.size === 0) return new Map()
    const posted = await loadPosted(this.#context.store, this.#queue, own)
    const all = attempt < PATIENT_ATTEMPTS + OTHERS_ATTEMPTS
    return all ? posted : new Map([...posted].filter(([key]) => own.has(key)))
  }

  async #loadNextDoor(attempt: number): Promise<QueueState | undefined> {
    const { store } = this.#context
    const held = this.#state
    const control = await store.get(controlKey(this.#queue))
    const how = { depth: 'positions', trusting: attempt >= TRUSTING_ATTEMPTS } as const
    const state = await loadState(store, this.#queue, control, held, how)
    if (held === undefined || state?.version !== held.version) await this.#beats()
    return state
  }

  async #loadSparingly(commands: readonly Command[], attempt: number): Promise<QueueState | undefined> {
    const { store, clock } = this.#context
    const has = (kind: Command['kind']): boolean => commands.some((command) => command.kind === kind)
    // An eviction doubles the window.
    const depth = this.#behind.size > 0 || has('evict') ? 'positions' : 'decisions'
    const age = clock.monotonic() - this.#loadedAt
    const isFresh = age < FRESH_MS && attempt === 0 && !has('settle') && !has('set')
    if (isFresh && this.#state !== undefined && isDeepEnough(this.#state, depth)) {
      this.#isReused = true
      return this.#state
    }
    const control = await this.#beats()
    this.#loadedAt = clock.monotonic()
    const how = { depth, trusting: attempt >= TRUSTING_ATTEMPTS } as const
    return loadState(store, this.#queue, control, this.#state, how)
  }

  async #beats(): ReturnType<typeof loadBeats> {
    const { store, clock, observer, onLooked } = this.#context
    const control = await loadBeats(store, this.#queue, observer, () => clock.monotonic())
    onLooked()
    return control
  }

  async #factsFor(command: Command, state: QueueState): Promise<MemberFacts> {
    const { store, serverless } = this.#context
    if (!serverless || command.kind !== 'wait') return loadFacts(store, this.#queue, state, command)
    const { id } = command
    const { shape } = state.control
    const behind = this.#behind.get(id)
    const last = state.line.at(-1)
    const waits = behind?.shape === shape && last !== undefined && !state.complete
    if (waits && compareInLine(last, behind.member) < 0) return { member: behind.member, waits }
    const facts = await loadFacts(store, this.#queue, state, command)
    if (facts.waits && facts.member !== undefined) this.#behind.set(id, { member: facts.member, shape })
    else this.#behind.delete(id)
    return facts
  }
}
