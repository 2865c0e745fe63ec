/**
 * The checks of an engine without a server: whether it can be reached and lets us in, and then each operation that turns
 * need, done once in earnest in a partition of its own (`trial.ts`).
 *
 * Invariants: nothing stays behind, also when a check fails or the caller stops; each failure is told once, by the check that
 * it is about.
 */
import { sleep, type Clock } from '../../../kernel/clock.ts'
import { isSignalboxError, SignalboxError } from '../../../kernel/error.ts'
import type { Random } from '../../../kernel/id.ts'
import type { CommitResult, Store, Version } from '../../../ports/store.ts'
import {
  clockCheck,
  fail,
  latencyCheck,
  median,
  ok,
  outcomeOf,
  skip,
  skipAll,
  warn,
  type Check,
  type Outcome,
} from './check.ts'
import { guardCheck } from './guard.ts'
import { Trial } from './trial.ts'

export interface EngineExam {
  readonly store: Store
  readonly backend: 'aws' | 'gcp'
  /** For people. */
  readonly describe: string
  readonly guard: boolean
  /** Look for jobs of the dynamo-q tool in this queue. */
  readonly queue: string | undefined
  readonly clock: Clock
  readonly random: Random
  /** Ends the examination; what it wrote is removed first. */
  readonly signal: AbortSignal
}

const WRITES_AND_READS = ['put', 'get', 'list', 'version', 'check']
const REST = ['delete', 'clock', 'latency', 'guard']

/** All checks but the first, in their order, for when the engine could not even be opened. */
export function checksAfterConfiguration(backend: EngineExam['backend']): string[] {
  const watch = backend === 'gcp' ? ['watch'] : []
  return ['credentials', 'table', ...WRITES_AND_READS, ...watch, ...REST]
}

/** What IAM calls it; Firestore has one role for all. */
const ACTIONS: Readonly<Record<string, string>> = {
  put: 'PutItem',
  get: 'GetItem',
  list: 'Query',
  version: 'PutItem',
  check: 'ConditionCheckItem',
  delete: 'DeleteItem',
}

const READS = 5
const WRITES = 3
const HINT_MS = 10_000
/** What an engine says of its time before the first answer is uncertain by days. */
const UNKNOWN_TIME_MS = 3_600_000

/** What the first contact with an engine shows, by its error. */
export function contactChecks(error: unknown, backend: EngineExam['backend']): Check[] {
  const [, , ...rest] = checksAfterConfiguration(backend)
  if (isSignalboxError(error, 'unauthenticated')) {
    return [fail('credentials', error), ...skipAll(['table', ...rest], 'credentials')]
  }
  // Who is told "not found" or "not allowed" has been let in.
  const known = isSignalboxError(error, 'permission_denied') || isSignalboxError(error, 'not_found')
  const credentials = known
    ? ok('credentials', 'accepted')
    : skip('credentials', 'not known: the engine gave no answer that would tell')
  return [credentials, fail('table', error), ...skipAll(rest, 'table')]
}

/** @throws the signal's reason */
export async function* examineEngine(exam: EngineExam): AsyncGenerator<Check, void> {
  const trial = new Trial(exam.store, exam.random)
  const denied = await contact(trial)
  if (denied !== undefined && !isSignalboxError(denied, 'permission_denied')) {
    yield* contactChecks(denied, exam.backend)
    return
  }
  yield ok('credentials', 'accepted')
  yield denied === undefined
    ? ok('table', `${exam.describe} answers, its keys are as expected`)
    : skip('table', 'not known: reading is not allowed, see below')
  let measured: Outcome<Record<string, number>> | undefined
  let cleared = true
  try {
    const steps = new Steps(exam, trial)
    yield* steps.all()
    if (steps.passed('get') && steps.passed('put')) measured = await outcomeOf(() => latency(exam, trial))
    yield* steps.last()
  } finally {
    cleared = await trial.clear()
  }
  if (!cleared) {
    yield warn(
      'cleanup',
      `the partition ${trial.partition} could not be emptied; it is of no use to anybody, delete it (its records expire in 10m)`,
    )
  }
  yield engineClock(exam)
  if (measured === undefined) yield* skipAll(['latency'], 'get and put')
  else yield 'value' in measured ? latencyCheck(measured.value) : fail('latency', measured.error)
  yield await guardCheck(exam)
}

/** One read; where that alone is not allowed, another kind. @returns why there was no answer */
async function contact(trial: Trial): Promise<unknown> {
  const { store, partition } = trial
  const read = await outcomeOf(() => store.get(trial.key(0)))
  if ('value' in read) return undefined
  if (!isSignalboxError(read.error, 'permission_denied')) return read.error
  const listed = await outcomeOf(() => store.list({ partition }, { limit: 1 }))
  return 'value' in listed ? undefined : listed.error
}

/** The operations, one after the other. */
class Steps {
  readonly #exam: EngineExam
  readonly #trial: Trial
  /** What each failure said, and which check told it. */
  readonly #told = new Map<string, string>()
  readonly #passed = new Set<string>()
  #version: Version | undefined

  constructor(exam: EngineExam, trial: Trial) {
    this.#exam = exam
    this.#trial = trial
  }

  passed(check: string): boolean {
    return this.#passed.has(check)
  }

  async *all(): AsyncGenerator<Check> {
    const { store } = this.#exam
    yield await this.#step('put', 'a record that must be absent', () => this.#put())
    yield await this.#step('get', 'reads what was written last', () => this.#get())
    yield await this.#step('list', 'lists what was written last', () => this.#list())
    yield await this.#step(
      'version',
      'a write is refused when its record has changed',
      () => this.#ifVersion(),
      'put',
    )
    yield await this.#step(
      'check',
      'a write is refused when another record has changed',
      () => this.#ifOther(),
      'put',
    )
    if (store.watch !== undefined) {
      yield await this.#step('watch', 'tells of a change at once', () => this.#watch(), 'put')
    }
  }

  async *last(): AsyncGenerator<Check> {
    yield await this.#step('delete', 'nothing of this is left', () => this.#delete())
  }

  /** @throws the signal's reason */
  async #step(check: string, what: string, run: () => Promise<void>, needed?: string): Promise<Check> {
    this.#exam.signal.throwIfAborted()
    if (needed !== undefined && !this.passed(needed)) return skip(check, `not looked at: needs ${needed}`)
    const outcome = await outcomeOf(run)
    if ('value' in outcome) {
      this.#passed.add(check)
      const action = this.#exam.backend === 'aws' ? ` (dynamodb:${ACTIONS[check]})` : ''
      return ok(check, what + action)
    }
    this.#exam.signal.throwIfAborted()
    const failure = fail(check, outcome.error)
    const before = this.#told.get(failure.message)
    if (before !== undefined) return skip(check, `not looked at: fails as ${before} does`)
    this.#told.set(failure.message, check)
    return failure
  }

  async #put(): Promise<void> {
    const trial = this.#trial
    this.#version = applied(await trial.commit([trial.put(0, 'absent')]))
    refused(await trial.commit([trial.put(0, 'absent')]), 'on condition that nothing was there')
  }

  async #get(): Promise<void> {
    const found = await this.#exam.store.get(this.#trial.key(0))
    if (found?.version !== this.#version) throw stale()
  }

  async #list(): Promise<void> {
    const { records } = await this.#exam.store.list({ partition: this.#trial.partition }, { limit: 10 })
    if (records[0]?.version !== this.#version) throw stale()
  }

  async #ifVersion(): Promise<void> {
    const trial = this.#trial
    const gone = { version: this.#version ?? '' }
    this.#version = applied(await trial.commit([trial.put(0, gone)]))
    refused(await trial.commit([trial.put(0, gone)]), 'on condition of a version that had gone')
  }

  async #ifOther(): Promise<void> {
    const trial = this.#trial
    const key = trial.key(0)
    const expect = { version: this.#version ?? '' }
    applied(await trial.commit([{ key, expect, op: 'check' }, trial.put(1, 'absent')]))
    this.#version = applied(await trial.commit([trial.put(0, expect)]))
    const late = await trial.commit([{ key, expect, op: 'check' }, trial.put(1, 'present')])
    refused(late, 'on condition of another record that had changed')
  }

  async #watch(): Promise<void> {
    const { store, clock, signal } = this.#exam
    const trial = this.#trial
    const end = new AbortController()
    const both = AbortSignal.any([end.signal, signal])
    const hints = store.watch?.({ partition: trial.partition }, both)[Symbol.asyncIterator]()
    try {
      await this.#hint(hints?.next(), clock, both)
      const next = hints?.next()
      next?.catch(() => undefined)
      this.#version = applied(await trial.commit([trial.put(0, 'present')]))
      await this.#hint(next, clock, both)
    } finally {
      end.abort(new SignalboxError('cancelled', 'watched enough'))
      await hints?.return?.()
    }
  }

  async #hint(next: Promise<unknown> | undefined, clock: Clock, signal: AbortSignal): Promise<void> {
    const enough = new AbortController()
    const late = sleep(clock, HINT_MS, AbortSignal.any([signal, enough.signal])).then(() => {
      throw new SignalboxError(
        'unavailable',
        `the engine told of no change within ${HINT_MS / 1_000}s; is something between that cuts streams, such as a proxy?`,
      )
    })
    try {
      await Promise.race([next, late])
    } finally {
      late.catch(() => undefined)
      enough.abort(new SignalboxError('cancelled', 'a hint came'))
    }
  }

  async #delete(): Promise<void> {
    await this.#trial.remove(0)
    await this.#trial.remove(1)
    if (!this.passed('get')) return
    if ((await this.#exam.store.get(this.#trial.key(0))) !== undefined) throw stale()
  }
}

/** @throws SignalboxError when nothing was written */
function applied(result: CommitResult): Version | undefined {
  if (result.ok) return result.versions.find((version) => version !== undefined)
  throw new SignalboxError(
    'conflict',
    'the engine refused a write whose condition held; try once more, then report it',
  )
}

/** @throws SignalboxError when it was not refused */
function refused(result: CommitResult, condition: string): void {
  if (!result.ok) return
  throw new SignalboxError(
    'store_invalid',
    `the engine took a write ${condition}; turns are not safe on it, use another`,
  )
}

function stale(): SignalboxError {
  return new SignalboxError(
    'store_invalid',
    'the engine read something other than what was written last; turns are not safe on it, use another',
  )
}

async function latency({ store, clock }: EngineExam, trial: Trial): Promise<Record<string, number>> {
  return {
    read: await median(clock, READS, () => store.get(trial.key(0))),
    write: await median(clock, WRITES, () => trial.commit([trial.put(0, 'present')])),
  }
}

function engineClock({ store, clock, backend }: EngineExam): Check {
  const time = store.now()
  if (time.uncertaintyMs > UNKNOWN_TIME_MS)
    return skip('clock', 'not looked at: the engine has not told its time')
  return clockCheck(clock.now(), time, { whose: "the engine's", signs: backend === 'aws' })
}
