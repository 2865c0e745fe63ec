/** The driver on a fake EventBridge, for tests. */
import { seededRandom } from '../../../kernel/id.ts'
import { ManualClock } from '../../../kernel/manual-clock.ts'
import type { Trigger, TriggerDrift, TriggerRule } from '../../../ports/trigger.ts'
import { openEventBridgeTrigger, type EventBridgeOptions, type KeyNote, type KeyNotes } from '../index.ts'
import { FakeEventBridge, type FakeOptions } from './fake.ts'

export const KEY = 'correct-horse-battery-staple'
export const HEADER = 'X-Aws-Event-Bridge-Api-Key'
export const ROLE = 'arn:aws:iam::123456789012:role/shop-test-RunJob'
export const URL_OF_TARGET = 'https://shop.example.org/api/v1/triggers/eventbridge'
const CONNECTION = 'shop-test-RunJob-Connection'
const DESTINATION = 'shop-test-RunJob-ApiDestination'

/** What a store keeps. */
export class MemoryKeyNotes implements KeyNotes {
  #note: KeyNote | undefined

  get(): Promise<KeyNote | undefined> {
    return Promise.resolve(this.#note)
  }

  put(note: KeyNote): Promise<void> {
    this.#note = note
    return Promise.resolve()
  }
}

export interface World {
  readonly clock: ManualClock
  readonly aws: FakeEventBridge
  readonly notes: MemoryKeyNotes
  /** A driver as another start of the server, or another server, opens it. */
  readonly open: (changes?: Changes) => Promise<Trigger>
}

type Changes = Partial<Omit<EventBridgeOptions, 'shared'>> & {
  readonly shared?: Partial<EventBridgeOptions['shared']>
}

export function world(options: Partial<FakeOptions> = {}): World {
  const clock = new ManualClock()
  const aws = new FakeEventBridge({ clock, ...options })
  const notes = new MemoryKeyNotes()
  const open = ({ shared, ...changes }: Changes = {}): Promise<Trigger> =>
    openEventBridgeTrigger({
      ...aws.access,
      clock,
      random: seededRandom(1),
      roleArn: ROLE,
      ...changes,
      shared: {
        namespace: CONNECTION,
        connectionName: CONNECTION,
        destinationName: DESTINATION,
        targetUrl: URL_OF_TARGET,
        authHeader: HEADER,
        apiKey: KEY,
        keyNotes: notes,
        ...shared,
      },
    })
  return { clock, aws, notes, open }
}

export function rule(name: string, more: Partial<TriggerRule> = {}): TriggerRule {
  return { name, expression: 'cron(0 9 * * ? *)', timeZone: 'UTC', enabled: true, ...more }
}

/** Lets a call that waits by the manual clock come to its end. */
export async function finished<T>(clock: ManualClock, call: Promise<T>): Promise<T> {
  const state = { ended: false }
  const end = (): void => {
    state.ended = true
  }
  call.then(end, end)
  for (let i = 0; !state.ended && i < 1_000; i++) await clock.advance(250)
  return call
}

/** `connection shop missing repaired` */
export function inWords(drift: readonly TriggerDrift[]): string[] {
  return drift.map(
    ({ object, name, problem, repaired }) => `${object} ${name} ${problem}${repaired ? ' repaired' : ''}`,
  )
}
