/**
 * A mailbox for each run in use: commands that arrive together are applied in order to one loaded state and committed once; nobody is
 * answered before the commit is durable. A conflict or a lost answer reloads and applies again, which is safe because every
 * command may be repeated (rules.ts).
 *
 * Invariants: what is committed expects the version it was decided on; what is refused, or found to be so already, was decided on a
 * record that was read for it. Records of runs that were used lately are remembered, so that create, claim and finish
 * on one server read nothing.
 */
import { backoffDelay } from '../kernel/backoff.ts'
import { sleep, type Clock } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import type { Change, Json, Store } from '../ports/store.ts'
import {
  liveIsOff,
  prepare,
  type Beside,
  type Keys,
  type Loaded,
  type Made,
  type Prepared,
} from './prepare.ts'
import { runKey, type Stored } from './records.ts'
import { step, type Answer, type Command, type Effects, type Moment } from './rules.ts'
import type { Run } from './state.ts'

export interface MailboxContext {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly keys: Keys
  /** Committed with each change of a run's state. */
  readonly beside?: Beside | undefined
  /** Since when beats are heard here: rules.ts. */
  readonly heardSince: () => number
  /** After each commit. Must not throw. */
  readonly committed: (prepared: Prepared, before: Stored | undefined) => void
  /** Commits failed for seconds, and now one succeeded. */
  readonly recovered: () => void
}

export interface Asked {
  readonly command: Command
  /** With `create`: random, of this call. */
  readonly mark?: string
  /** Committed with what the command changes, if it changes anything. Made anew for each attempt. */
  readonly beside?: (run: Run) => readonly Change[]
}

export interface Reply {
  readonly answer: Answer
  /** The run as it is now. */
  readonly stored: Stored | undefined
}

interface Pending extends Asked {
  readonly resolve: (reply: Reply) => void
  readonly reject: (error: unknown) => void
}

interface Mailbox {
  readonly pending: Pending[]
  running: boolean
}

interface Tried {
  readonly answers: readonly Answer[]
  readonly made: Made | undefined
  readonly beside: readonly Change[]
  /** A command changed nothing: an answer that rests on what was read. */
  readonly idle: boolean
}

type Outcome = 'done' | 'again' | 'placeTaken'

const MAX_BATCH = 32
/** Commands of one batch that bring changes of their own. */
const MAX_EXTRA = 4
const MAX_LOG_BATCH_BYTES = 1024 * 1024
const MAX_ATTEMPTS = 30
const RETRY = { baseMs: 5, maxMs: 500 }
const REMEMBERED = 5_000
/** So long a store may fail before silence is nobody's fault. */
const OUTAGE_MS = 2_000

export class Mailboxes {
  readonly #context: MailboxContext
  readonly #boxes = new Map<string, Mailbox>()
  /** In the order of use. */
  readonly #known = new Map<string, Loaded>()
  readonly #id: string
  #commits = 0
  /** Monotonic ms of the first failure since a commit or read succeeded. */
  #failingSince: number | undefined
  #closed = false

  constructor(context: MailboxContext) {
    this.#context = context
    this.#id = context.random.id().slice(0, 8)
  }

  submit(id: string, asked: Asked): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new SignalboxError('unavailable', 'the server is stopping; ask again'))
        return
      }
      let box = this.#boxes.get(id)
      if (box === undefined) this.#boxes.set(id, (box = { pending: [], running: false }))
      box.pending.push({ ...asked, resolve, reject })
      if (!box.running) void this.#run(id, box)
    })
  }

  /** Remembers what somebody committed past the mailbox: runs that did not exist before. */
  adopt(prepared: Prepared, version: string | undefined): void {
    if (version !== undefined) this.#remember(prepared.stored.run.id, { stored: prepared.stored, version })
    this.#context.committed(prepared, undefined)
  }

  stamp(): string {
    this.#commits += 1
    return `${this.#id}${this.#commits.toString(36)}`
  }

  moment(): Moment {
    const { ms, uncertaintyMs } = this.#context.store.now()
    return {
      now: Math.floor(ms),
      slackMs: Math.ceil(uncertaintyMs),
      heardSince: this.#context.heardSince(),
    }
  }

  /** Commands under way are answered; later ones are refused. */
  close(): void {
    this.#closed = true
  }

  async #run(id: string, box: Mailbox): Promise<void> {
    box.running = true
    // The commands of one turn of the event loop belong in one batch.
    await Promise.resolve()
    while (box.pending.length > 0) await this.#runBatch(id, box)
    this.#boxes.delete(id)
  }

  async #runBatch(id: string, box: Mailbox): Promise<void> {
    const { clock, random } = this.#context
    const batch = takeBatch(box.pending)
    let newPlace = false
    try {
      for (let attempt = 0; ; attempt++) {
        if (attempt > 1) await sleep(clock, backoffDelay(RETRY, attempt - 2, random))
        const outcome: Outcome = await this.#attempt(id, batch, newPlace).catch((error: unknown) =>
          this.#passing(error, attempt),
        )
        if (outcome === 'done') return
        if (attempt >= MAX_ATTEMPTS) throw busy(id)
        newPlace = outcome === 'placeTaken'
      }
    } catch (error) {
      this.#known.delete(id)
      this.#failingSince ??= clock.monotonic()
      for (const { reject } of batch) reject(error)
    }
  }

  async #attempt(id: string, batch: readonly Pending[], newPlace: boolean): Promise<Outcome> {
    const remembered = this.#known.get(id)
    let loaded = remembered ?? (await this.#load(id))
    let moment = this.moment()
    let tried = apply(loaded?.stored, batch, moment)
    if (tried.idle && remembered !== undefined) {
      loaded = await this.#load(id)
      moment = this.moment()
      tried = apply(loaded?.stored, batch, moment)
    }
    const stored = await this.#commit(id, loaded, tried, moment.now, newPlace)
    if (stored === 'again' || stored === 'placeTaken') return stored
    this.#works()
    tried.answers.forEach((answer, index) => batch[index]?.resolve({ answer, stored }))
    return 'done'
  }

  /** @returns the run as it is now */
  async #commit(
    id: string,
    loaded: Loaded | undefined,
    { made, beside }: Tried,
    now: number,
    newPlace: boolean,
  ): Promise<Stored | undefined | 'again' | 'placeTaken'> {
    const { store, keys, beside: changing, committed } = this.#context
    if (made === undefined) return loaded?.stored
    const stamp = this.stamp()
    const prepared = prepare(loaded, made, { keys, now, stamp, newPlace, beside: changing })
    try {
      const result = await store.commit([...prepared.changes, ...beside])
      if (!result.ok) return await this.#conflict(id, loaded)
      const [version] = result.versions
      if (version === undefined) this.#known.delete(id)
      else this.#remember(id, { stored: prepared.stored, version })
    } catch (error) {
      if (!isSignalboxError(error, 'outcome_unknown')) throw error
      // The record says whose commit was the last.
      const present = await this.#load(id).catch((cause: unknown) => {
        throw stillUnknown(cause)
      })
      if (present?.stored.stamp !== prepared.stored.stamp) return 'again'
    }
    committed(prepared, loaded?.stored)
    return prepared.stored
  }

  /** Somebody else changed the run, or (rare) another run has the same place or key of time. */
  async #conflict(id: string, loaded: Loaded | undefined): Promise<'again' | 'placeTaken'> {
    const present = await this.#load(id)
    return present?.version === loaded?.version ? 'placeTaken' : 'again'
  }

  async #load(id: string): Promise<Loaded | undefined> {
    this.#known.delete(id)
    const record = await this.#context.store.get(runKey(id))
    if (record === undefined) return undefined
    const loaded = { stored: record.value as unknown as Stored, version: record.version }
    this.#remember(id, loaded)
    return loaded
  }

  #remember(id: string, loaded: Loaded): void {
    this.#known.delete(id)
    this.#known.set(id, loaded)
    if (this.#known.size <= REMEMBERED) return
    const [oldest] = this.#known.keys()
    if (oldest !== undefined) this.#known.delete(oldest)
  }

  #passing(error: unknown, attempt: number): 'again' {
    if (!isSignalboxError(error, 'throttled') || attempt >= MAX_ATTEMPTS) throw error
    return 'again'
  }

  #works(): void {
    if (this.#failingSince === undefined) return
    const outageMs = this.#context.clock.monotonic() - this.#failingSince
    this.#failingSince = undefined
    if (outageMs >= OUTAGE_MS) this.#context.recovered()
  }
}

/** Applies all commands of a batch to what is there. */
function apply(before: Stored | undefined, batch: readonly Pending[], moment: Moment): Tried {
  let run = before?.run
  const answers: Answer[] = []
  const effects: (Effects & { attempt: number })[] = []
  const beside: Change[] = []
  let created: { readonly input: Json; readonly mark: string } | undefined
  let result: { readonly json: Json } | undefined
  let idle = false
  for (const { command, mark = '', beside: more } of batch) {
    const was = run
    const stepped = step(was, command, moment)
    run = stepped.run
    // Repeated after a lost answer: it was this very call that created it.
    const own = command.kind === 'create' && before !== undefined && mark !== '' && before.mark === mark
    answers.push(own ? { kind: 'done', changed: true } : stepped.answer)
    if (run === was || run === undefined) {
      idle = true
      continue
    }
    effects.push({ ...stepped.effects, attempt: run.attempt })
    if (more !== undefined) beside.push(...more(run))
    if (command.kind === 'create') created = { input: command.run.input, mark }
    if (command.kind === 'finish' && command.outcome.kind === 'succeeded') {
      result = command.outcome.result === undefined ? undefined : { json: command.outcome.result }
    }
  }
  const moved = run !== undefined && run === before?.run && liveIsOff(before, moment.now) && looks(batch)
  const made =
    run === undefined || (run === before?.run && !moved)
      ? undefined
      : { run, effects, ...created, ...(result === undefined ? {} : { result: result.json }) }
  return { answers, made, beside, idle: idle && !moved }
}

function looks(batch: readonly Pending[]): boolean {
  return batch.some(({ command }) => command.kind === 'check')
}

/** As many commands as fit one commit. */
function takeBatch(pending: Pending[]): Pending[] {
  let bytes = 0
  let extra = 0
  let count = 0
  for (const { command, beside } of pending) {
    if (command.kind === 'log') bytes += command.lines.reduce((sum, line) => sum + line.bytes, 0)
    if (beside !== undefined) extra += 1
    if (count > 0 && (count === MAX_BATCH || extra > MAX_EXTRA || bytes > MAX_LOG_BATCH_BYTES)) break
    count += 1
  }
  return pending.splice(0, count)
}

function busy(id: string): SignalboxError {
  return new SignalboxError('throttled', `run '${id}' is changed by too many at once; repeat the call`)
}

function stillUnknown(cause: unknown): SignalboxError {
  return new SignalboxError(
    'outcome_unknown',
    'the store does not say whether the call was applied; repeat it',
    { cause },
  )
}
