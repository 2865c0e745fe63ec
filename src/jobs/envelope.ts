/**
 * The body of a job's message, and how other systems' bodies are read.
 *
 *   {"v":1,"job":"record-vote","id":"…","input":…}   a plain job; without an id the message's own serves
 *   {"v":1,"job":"record-vote","run":"record-vote:…"} a job with a run record, which has the input
 *
 * Invariant: what is written here every engine takes: no control characters, no lone surrogates, no U+FFFE or U+FFFF (SQS
 * refuses them), so all of these are escaped.
 */
import type { MessageFacts } from '../ports/message-queue.ts'

/** What a message asks for. */
export type Envelope = { readonly job: string } & (
  | { readonly id: string; readonly input: unknown; readonly run?: undefined }
  | { readonly run: string }
)

/** A body that asks for nothing that could be done, and why. */
export interface Unreadable {
  readonly unreadable: string
}

/**
 * Reads the bodies that one other system writes. @returns undefined for a body that is not its own
 */
export type EnvelopeDecoder = (message: MessageFacts) => Envelope | Unreadable | undefined

/** The id of a job whose body has none, once a worker has moved it: its effects keep their key, though it is a new message. */
export const ID_ATTRIBUTE = 'signalbox.id'

/** The id of a run after its job and a colon. */
const RUN_REST = /^[A-Za-z0-9._:@/-]{1,100}$/
const NOT_CHARACTERS = /[\ufffe\uffff]/g

/** @param input JSON text */
export function encodeJob(job: string, id: string, input: string): string {
  return escaped(`{"v":1,"job":"${job}","id":"${id}","input":${input}}`)
}

export function encodeRun(job: string, run: string): string {
  return `{"v":1,"job":"${job}","run":"${run}"}`
}

function escaped(json: string): string {
  return json.search(NOT_CHARACTERS) < 0
    ? json
    : json.replace(NOT_CHARACTERS, (c) => `\\u${c.charCodeAt(0).toString(16)}`)
}

/** @param decoders of other systems, asked in turn for what is not ours */
export function decode(
  message: MessageFacts,
  decoders: readonly EnvelopeDecoder[] = [],
): Envelope | Unreadable {
  const own = decodeOwn(message)
  if (!('unreadable' in own)) return own
  for (const decoder of decoders) {
    const envelope = decoder(message)
    if (envelope !== undefined) return envelope
  }
  return own
}

function decodeOwn({ body, messageId, attributes }: MessageFacts): Envelope | Unreadable {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    return { unreadable: 'its body is not JSON' }
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { unreadable: 'its body is not an object with job and input' }
  }
  const {
    v = 1,
    job,
    id = attributes[ID_ATTRIBUTE]?.value ?? messageId,
    run,
    input,
  } = value as Record<string, unknown>
  if (v !== 1) return { unreadable: `its format is version ${JSON.stringify(v)}, this worker reads 1` }
  if (typeof job !== 'string') return { unreadable: 'its body names no job' }
  if (typeof run === 'string') {
    // A run is done by its own job, or not at all.
    const own = run.startsWith(`${job}:`) && RUN_REST.test(run.slice(job.length + 1))
    return own ? { job, run } : { unreadable: `its run is not one of job ${job.slice(0, 64)}` }
  }
  if (typeof id !== 'string' || run !== undefined) return { unreadable: 'its id or run is not text' }
  return { job, id, input }
}
