/** The checks of a server: does it answer, is it of our version, whom does it take us for, how far away is it? */
import type { ServerFace } from '../../../cli/context.ts'
import type { Clock } from '../../../kernel/clock.ts'
import { isSignalboxError } from '../../../kernel/error.ts'
import type { Random } from '../../../kernel/id.ts'
import type { TurnsApi } from '../../api.ts'
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
} from './check.ts'

export interface ServerExam {
  readonly turns: Pick<TurnsApi, 'list' | 'beat'>
  readonly server: ServerFace
  /** A token goes with the calls. */
  readonly token: boolean
  /** Is the token good for this queue? */
  readonly queue: string | undefined
  readonly clock: Clock
  readonly random: Random
  readonly signal: AbortSignal
}

export const afterConfiguration = ['reachable', 'version', 'token', 'role', 'clock', 'latency']

const CALLS = 5
/** The header with its time has whole seconds. */
const HALF_SECOND_MS = 500
/** Nobody's, so that asking for it changes nothing. */
const NO_QUEUE = 'signalbox-doctor'

/** @throws the signal's reason */
export async function* examineServer(exam: ServerExam): AsyncGenerator<Check, void> {
  const { server, turns, clock, token, signal } = exam
  const greeted = await outcomeOf(() => server.hello())
  signal.throwIfAborted()
  if ('error' in greeted) {
    yield fail('reachable', greeted.error)
    yield* skipAll(afterConfiguration.slice(1), 'reachable')
    return
  }
  const { version, ownVersion, now } = greeted.value
  const heardAt = clock.now()
  yield ok('reachable', 'it answers')
  yield version === ownVersion
    ? ok('version', version)
    : warn(
        'version',
        `the server is ${version} and this is ${ownVersion}; use the same version on both sides`,
      )
  const listed = await outcomeOf(() => turns.list({ limit: 1 }))
  signal.throwIfAborted()
  if ('error' in listed) {
    yield fail('token', listed.error)
    yield* skipAll(['role'], 'token')
  } else {
    yield ok('token', token ? 'accepted' : 'none was sent, and none is needed from here')
    yield await roleCheck(exam)
  }
  signal.throwIfAborted()
  yield now === undefined
    ? skip('clock', 'not looked at: the server does not tell its time')
    : clockCheck(
        heardAt,
        { ms: now + HALF_SECOND_MS, uncertaintyMs: HALF_SECOND_MS },
        { whose: "the server's", signs: false },
      )
  if ('error' in listed) yield* skipAll(['latency'], 'token')
  else yield await latency(exam)
}

/** Asks for what only an operator, and only an admin, may; nothing of it changes anything. */
async function roleCheck({ server, turns, queue, random }: ServerExam): Promise<Check> {
  const admin = await outcomeOf(() => server.access.listTokens({ limit: 1 }))
  const role = 'value' in admin ? 'admin' : 'operator'
  const beat = await outcomeOf(() => turns.beat(queue ?? NO_QUEUE, random.id(), 1))
  // A turn that nobody holds cannot be kept; who is told so was allowed to ask.
  if (
    'value' in beat ||
    isSignalboxError(beat.error, 'not_found') ||
    isSignalboxError(beat.error, 'turn_lost')
  ) {
    return ok('role', `${role}: may take turns${queue === undefined ? '' : ` in '${queue}'`}`)
  }
  return queue === undefined && isOutOfScope(beat.error)
    ? ok('role', `${role}, for some queues only; name one with --queue to check it`)
    : fail('role', beat.error)
}

function isOutOfScope(error: unknown): boolean {
  return isSignalboxError(error, 'permission_denied') && error.details['neededScope'] !== undefined
}

async function latency({ turns, clock }: ServerExam): Promise<Check> {
  const took = await outcomeOf(() => median(clock, CALLS, () => turns.list({ limit: 1 })))
  return 'value' in took ? latencyCheck({ answer: took.value }) : fail('latency', took.error)
}
