/**
 * A stand-in for the network and the engine behind it: each request gets the next answer of a script. For what no engine
 * does on demand: lost answers, throttling, conflicts, refusals, clocks.
 */
import { Readable } from 'node:stream'
import { ManualClock } from '../../../kernel/manual-clock.ts'
import { seededRandom } from '../../../kernel/id.ts'
import type { Store } from '../../../ports/store.ts'
import { openDynamodbStore, type DynamodbStoreOptions } from '../index.ts'

export interface FakeRequest {
  readonly operation: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Readonly<Record<string, unknown>>
  readonly signal: AbortSignal
}

export interface FakeAnswer {
  readonly status: number
  readonly body: string
  /** Default: the engine's clock, which goes with the store's. */
  readonly date?: string
}

/** Gives an answer, throws what the network would, or never settles. */
export type Reaction = (request: FakeRequest) => FakeAnswer | Promise<FakeAnswer>

/** What the engine's clock says at first. */
export const ENGINE_START = Date.UTC(2026, 5, 1)

export function ok(body: unknown = {}): Reaction {
  return () => ({ status: 200, body: JSON.stringify(body) })
}

/** An error as the engine words it. */
export function fails(name: string, message = '', more: object = {}, status = 400): Reaction {
  const body = { __type: `com.amazonaws.dynamodb.v20120810#${name}`, message, ...more }
  return () => ({ status, body: JSON.stringify(body) })
}

/** A transaction refused, with a code per change. */
export function cancelled(...codes: string[]): Reaction {
  const CancellationReasons = codes.map((Code) => ({ Code, Message: Code }))
  return fails('TransactionCanceledException', `Transaction cancelled [${codes.join(', ')}]`, {
    CancellationReasons,
  })
}

/** An error of the network. */
export function breaks(code: string, more: object = {}): Reaction {
  return () => Promise.reject(Object.assign(new Error(`network: ${code}`), { code, ...more }))
}

export const hangs: Reaction = ({ signal }) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))

export interface FakeEngine {
  readonly store: Store
  readonly clock: ManualClock
  /** What came in, in order. */
  readonly requests: FakeRequest[]
  /** Answers the next requests so; the last of them for ever. */
  readonly answer: (...reactions: Reaction[]) => void
  /** Requests so far, by operation; forgets them. */
  readonly operations: () => string[]
}

export async function fakeEngine(options: Partial<DynamodbStoreOptions> = {}): Promise<FakeEngine> {
  const clock = new ManualClock()
  const requests: FakeRequest[] = []
  let script: readonly Reaction[] = [ok()]
  const handle = async (
    request: { readonly headers: Record<string, string>; readonly body: Uint8Array },
    { abortSignal }: { readonly abortSignal: AbortSignal },
  ): Promise<unknown> => {
    const { headers, body } = request
    const operation = headers['x-amz-target']?.split('.')[1] ?? ''
    const received = {
      operation,
      headers,
      body: JSON.parse(new TextDecoder().decode(body)) as FakeRequest['body'],
      signal: abortSignal,
    }
    requests.push(received)
    const [reaction = ok(), ...rest] = script
    if (rest.length > 0) script = rest
    const answer = await reaction(received)
    return {
      response: {
        statusCode: answer.status,
        headers: { date: answer.date ?? new Date(ENGINE_START + clock.monotonic()).toUTCString() },
        body: Readable.from([Buffer.from(answer.body)]),
      },
    }
  }
  const store = await openDynamodbStore({
    table: 'queue',
    region: 'eu-west-1',
    credentials: { accessKeyId: 'AKIATEST', secretAccessKey: 'test' },
    clock,
    random: seededRandom(1),
    ...options,
    requestHandler: { handle } as object,
  })
  return {
    store,
    clock,
    requests,
    answer: (...reactions) => {
      script = reactions
    },
    operations: () => requests.splice(0).map(({ operation }) => operation),
  }
}
