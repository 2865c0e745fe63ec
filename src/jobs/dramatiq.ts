/**
 * Reads messages that dramatiq's producers wrote to SQS (through dramatiq-sqs: base64 of dramatiq's JSON), so that a worker
 * takes over an actor while its producers stay as they are. Facts of the format: dramatiq's `Message` and its JSON encoder.
 */
import type { Envelope, EnvelopeDecoder, Unreadable } from './envelope.ts'

/** What the caller of an actor gave. */
export interface ActorCall {
  readonly args: readonly unknown[]
  readonly kwargs: Readonly<Record<string, unknown>>
  readonly options: Readonly<Record<string, unknown>>
}

export interface ActorMapping {
  /** The job's name. */
  readonly job: string
  /** The job's input. Default: `kwargs`; a sole positional argument; else `{ args, kwargs }`. */
  readonly input?: (call: ActorCall) => unknown
}

export interface DramatiqOptions {
  /** By the actor's name: a job (or its name), or a mapping. An actor that is not here is a job of the same name. */
  readonly actors?: Readonly<Record<string, string | { readonly name: string } | ActorMapping>>
}

/**
 * @example
 * await startWorker([recordVote], { envelopes: [dramatiq({ actors: { record_vote: recordVote } })] })
 */
export function dramatiq({ actors = {} }: DramatiqOptions = {}): EnvelopeDecoder {
  return ({ body }) => {
    const call = parse(body)
    if (call === undefined) return undefined
    const actor = call.actor_name
    const { job, input = usualInput } = mappingOf(
      Object.hasOwn(actors, actor) ? actors[actor] : undefined,
      actor,
    )
    return envelopeOf(job, call, input)
  }
}

interface DramatiqMessage extends ActorCall {
  readonly actor_name: string
  readonly message_id: string
}

function parse(body: string): DramatiqMessage | undefined {
  const text = body.startsWith('{') ? body : Buffer.from(body, 'base64').toString('utf8')
  if (!text.startsWith('{')) return undefined
  let value: Partial<DramatiqMessage>
  try {
    value = JSON.parse(text) as Partial<DramatiqMessage>
  } catch {
    return undefined
  }
  const { actor_name, message_id, args, kwargs, options } = value
  if (typeof actor_name !== 'string' || typeof message_id !== 'string') return undefined
  return { actor_name, message_id, args: args ?? [], kwargs: kwargs ?? {}, options: options ?? {} }
}

function mappingOf(
  mapping: NonNullable<DramatiqOptions['actors']>[string] | undefined,
  actor: string,
): ActorMapping {
  if (mapping === undefined) return { job: actor }
  if (typeof mapping === 'string') return { job: mapping }
  return 'job' in mapping ? mapping : { job: mapping.name }
}

function usualInput({ args, kwargs }: ActorCall): unknown {
  if (args.length === 0) return kwargs
  return args.length === 1 && Object.keys(kwargs).length === 0 ? args[0] : { args, kwargs }
}

function envelopeOf(
  job: string,
  { args, kwargs, options, message_id: id }: DramatiqMessage,
  input: (call: ActorCall) => unknown,
): Envelope | Unreadable {
  try {
    return { job, id, input: input({ args, kwargs, options }) }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    return { unreadable: `its input could not be made of dramatiq's arguments: ${why}` }
  }
}
