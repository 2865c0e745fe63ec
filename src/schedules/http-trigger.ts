/**
 * Where an external trigger calls: `POST /api/v1/triggers/eventbridge`. It exists only where one is configured, and asks for the
 * trigger's key instead of a token.
 *
 * Invariants:
 * - the key is compared before the body is read, in constant time, with each active key: two during a rotation;
 * - 202 means that the event is seen to, durably: its run is there, or never will be, and why. AWS gives 5 s and repeats after 401,
 *   407, 409, 429, 5xx and no answer, but after no other 4xx: so what may pass is answered with 503, and in good time, and nothing
 *   with 409.
 *   https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { attempt } from '../kernel/attempt.ts'
import type { Clock } from '../kernel/clock.ts'
import { isSignalboxError, SignalboxError, type ErrorCode } from '../kernel/error.ts'
import { scheduleName } from './api.ts'
import type { SchedulesService } from './contract.ts'
import type { App } from './http.ts'

export const TRIGGER_PATH = '/api/v1/triggers/eventbridge'

/** What became of a call, for metrics and logs. */
export type ReceivedEvent =
  | {
      readonly kind: 'created' | 'known'
      readonly schedule: string
      readonly run?: string
      readonly why?: string
    }
  /** `refused`: a wrong key. `unavailable`: AWS is to send it again. */
  | { readonly kind: FailedKind; readonly error: SignalboxError }

type FailedKind = 'refused' | 'invalid' | 'unknown' | 'unavailable'

export interface TriggerFaceOptions {
  readonly schedules: Pick<SchedulesService, 'fire'>
  readonly clock: Clock
  /** Name of the header that carries the key. */
  readonly header: string
  /** The active ones. */
  readonly keys: readonly string[]
  /** Must not throw. */
  readonly onEvent?: (event: ReceivedEvent) => void
}

const BODY_LIMIT = 4_096
/** AWS hangs up after 5 s. */
const ANSWER_MS = 4_000
/** The same event would meet them again. */
const FINAL: ReadonlySet<ErrorCode> = new Set(['not_found', 'invalid_argument', 'payload_too_large'])

const body = z.object({
  schedule: scheduleName,
  time: z.iso.datetime({ offset: true }).describe('When it was due.'),
  id: z.string().min(1).max(200).describe('Of the event.'),
})
const answer = z.object({
  created: z
    .boolean()
    .describe('False: that time was seen to already, or there is to be no run; `why` says it.'),
  run: z.string().optional(),
  why: z.string().optional(),
})

export function triggerFace(options: TriggerFaceOptions): (app: App) => Promise<void> {
  const { schedules, clock, header, onEvent = () => {} } = options
  const isKey = keyCheck(options.keys)
  const told = new WeakSet<Error>()
  const tell = (kind: FailedKind, error: SignalboxError): SignalboxError => {
    told.add(error)
    onEvent({ kind, error })
    return error
  }
  return async (app) => {
    app.route({
      method: 'POST',
      url: TRIGGER_PATH,
      bodyLimit: BODY_LIMIT,
      schema: {
        tags: ['schedules'],
        operationId: 'receiveTriggerEvent',
        summary: `For Amazon EventBridge: a schedule is due. The key is in the header ${header}`,
        body,
        response: { 202: answer },
      },
      onRequest: async (request) => {
        if (isKey(headerOf(request, header))) return
        const error = new SignalboxError('unauthenticated', `the header ${header} does not carry a valid key`)
        throw tell('refused', error)
      },
      errorHandler(error) {
        // A body that is none comes to no handler, and AWS does not send it again.
        if (!told.has(error)) tell('invalid', new SignalboxError('invalid_argument', error.message))
        throw error
      },
      handler: async (request, reply) => {
        const { schedule, time, id } = request.body
        try {
          const event = { schedule, time: Date.parse(time), id }
          const { created, run, why } = await attempt({ clock, boundMs: ANSWER_MS }, () =>
            schedules.fire(event),
          )
          const told = {
            ...(run === undefined ? {} : { run: run.id }),
            ...(why === undefined ? {} : { why }),
          }
          onEvent({ kind: created ? 'created' : 'known', schedule, ...told })
          return await reply.code(202).send({ created, ...told })
        } catch (thrown) {
          const error = repeatable(thrown)
          throw tell(kindOf(error), error)
        }
      },
    })
  }
}

/** Whatever else may pass: 503, after which AWS sends the event again. */
function repeatable(thrown: unknown): SignalboxError {
  if (isSignalboxError(thrown) && FINAL.has(thrown.code)) return thrown
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return new SignalboxError('unavailable', message, { cause: thrown })
}

function kindOf({ code }: SignalboxError): FailedKind {
  if (code === 'not_found') return 'unknown'
  return code === 'invalid_argument' ? 'invalid' : 'unavailable'
}

function headerOf({ headers }: FastifyRequest, name: string): string {
  const value = headers[name.toLowerCase()]
  return typeof value === 'string' ? value : ''
}

/** Digests have one length whatever was sent, and all keys are looked at whichever fits: the time tells nothing. */
function keyCheck(keys: readonly string[]): (given: string) => boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  const active = keys.filter((key) => key !== '').map(digest)
  return (given) => {
    const sent = digest(given)
    return active.map((key) => timingSafeEqual(key, sent)).includes(true)
  }
}
