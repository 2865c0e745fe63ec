/** What is checked of what callers hand in, and what is made for them: ids that sort by time. */
import { SignalboxError } from '../kernel/error.ts'
import type { Random } from '../kernel/id.ts'
import { checkQueueName } from '../ports/message-checks.ts'
import type { Json } from '../ports/store.ts'
import {
  jobOf,
  MAX_INPUT_BYTES,
  MAX_PROGRESS_TEXT,
  MAX_RESULT_BYTES,
  newRun,
  workerName,
  type NewRun,
  type Outcome,
  type Progress,
} from './vocabulary.ts'

export type NamedRun = NewRun & { readonly id: string }

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
/** 50 bits of milliseconds: enough until far beyond the year 30000. */
const TIME_LENGTH = 10
const MAX_MESSAGE = 2_000
const MAX_STACK = 16_000
const GROUP = /^[\x21-\x7e]{1,128}$/
const facts = newRun.omit({ input: true })

/** @throws SignalboxError `invalid_argument`, `payload_too_large` */
export function checkNewRun(run: NewRun): void {
  const { success, error } = facts.safeParse(run)
  if (!success) {
    const issue = error.issues[0]
    throw invalid(`${issue?.path.join('.') ?? 'run'}: ${issue?.message ?? 'is not valid'}`)
  }
  if (run.id !== undefined && jobOf(run.id) !== run.job) {
    throw invalid(`id: '${run.id}' must begin with its job, '${run.job}:'`)
  }
  if (run.skipped !== undefined && run.hold !== undefined) throw invalid('hold: a skipped run is not held')
  // What no engine would take would wait for ever to be sent.
  checkQueueName(run.queue, 'queue')
  if (run.group !== undefined && !GROUP.test(run.group)) {
    throw invalid('group: has 1 to 128 ASCII letters, digits and punctuation marks')
  }
  const bytes = Buffer.byteLength(jsonOf(run.input, 'input'))
  if (bytes > MAX_INPUT_BYTES) {
    throw new SignalboxError(
      'payload_too_large',
      `input: ${bytes} bytes as JSON; a run takes ${MAX_INPUT_BYTES}. Hand over where the data lie instead`,
    )
  }
}

/** `<job>:<time><random>`: the ids of a job sort by the time they were made. */
export function newRunId(job: string, now: number, random: Random): string {
  let time = ''
  for (let rest = Math.floor(now), i = 0; i < TIME_LENGTH; i++) {
    time = `${ALPHABET[rest % 32]}${time}`
    rest = Math.floor(rest / 32)
  }
  return `${job}:${time}${random.id().slice(0, 14)}`
}

/** An outcome within what a run's record keeps: longer texts are cut, a result that is too large is left out. */
export function bounded(outcome: Outcome): Outcome {
  if (outcome.kind === 'failed') {
    const { name, message, stack } = outcome.error
    const error = {
      message: cut(message, MAX_MESSAGE),
      ...(name === undefined ? {} : { name: cut(name, 200) }),
      ...(stack === undefined ? {} : { stack: cut(stack, MAX_STACK) }),
    }
    return { ...outcome, error }
  }
  if (outcome.kind === 'cancelled') {
    return outcome.reason === undefined ? outcome : { ...outcome, reason: cut(outcome.reason, 500) }
  }
  if (outcome.kind !== 'succeeded' || outcome.result === undefined) return outcome
  const text = jsonOf(outcome.result, 'result')
  const bytes = Buffer.byteLength(text)
  if (bytes > MAX_RESULT_BYTES) return { kind: 'succeeded', result: { tooLarge: true, bytes } }
  return { kind: 'succeeded', result: JSON.parse(text) as Json }
}

/** Progress within what is shown of it; what is of another type is left out. */
export function boundedProgress({ done, total, text }: Progress): Progress {
  return {
    ...(Number.isFinite(done) ? { done } : {}),
    ...(Number.isFinite(total) ? { total } : {}),
    ...(typeof text === 'string' ? { text: cut(text, MAX_PROGRESS_TEXT - 1) } : {}),
  }
}

/** @throws SignalboxError `invalid_argument` unless orders can reach a worker of this name */
export function checkWorker(worker: string): void {
  const { error } = workerName.safeParse(worker)
  if (error !== undefined) throw invalid(`worker: ${error.issues[0]?.message ?? 'is not valid'}`)
}

function jsonOf(value: Json, what: string): string {
  const text: string | undefined = JSON.stringify(value)
  if (text === undefined) throw invalid(`${what}: must be JSON; for nothing give null`)
  return text
}

function cut(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text
}

function invalid(message: string): SignalboxError {
  return new SignalboxError('invalid_argument', message)
}
