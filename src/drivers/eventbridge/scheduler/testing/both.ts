/** The driver with a fake EventBridge and a fake Scheduler behind it, whose events go to the other's bus. */
import { seededRandom } from '../../../../kernel/id.ts'
import { ManualClock } from '../../../../kernel/manual-clock.ts'
import type { Trigger, TriggerRule } from '../../../../ports/trigger.ts'
import type { KeyNote } from '../../shared-objects.ts'
import { FakeEventBridge } from '../../testing/fake.ts'
import type { FakeCall } from '../../testing/firing.ts'
import { openEventBridgeScheduler, type EventBridgeSchedulerOptions } from '../index.ts'
import { FakeScheduler } from './fake-scheduler.ts'
import type { HttpRequest } from './scheduler-wire.ts'

export const NAMESPACE = 'P-test-RunJob-Connection'
export const ROLE = 'arn:aws:iam::123456789012:role/target'
export const SCHEDULER_ROLE = 'arn:aws:iam::123456789012:role/scheduler'

export interface Both {
  readonly clock: ManualClock
  readonly eventbridge: FakeEventBridge
  readonly scheduler: FakeScheduler
  readonly trigger: Trigger
  /** What called us. */
  readonly calls: FakeCall[]
  /** Another server with these fakes behind it. */
  readonly another: (options?: Partial<EventBridgeSchedulerOptions>) => Promise<Trigger>
  /** Moves the clock until it has settled: back-off and waits pass meanwhile. */
  readonly play: <T>(what: Promise<T>) => Promise<T>
}

interface Headers {
  readonly headers: Readonly<Record<string, string>>
}

/** @param pageSize of the scheduler's lists */
export async function both(pageSize = 100): Promise<Both> {
  const clock = new ManualClock(Date.UTC(2026, 5, 1))
  const calls: FakeCall[] = []
  const deliver = (call: FakeCall): Promise<number> => {
    calls.push(call)
    return Promise.resolve(202)
  }
  const eventbridge = new FakeEventBridge({ clock, deliver })
  const bus = eventbridge.requestHandler as { handle: (request: unknown) => Promise<unknown> }
  const scheduler = new FakeScheduler({
    now: () => clock.now(),
    pageSize,
    putEvents: (event) => void eventbridge.firing.events({ Entries: [{ ...event }] }),
  })
  const handle = (request: HttpRequest & Headers): Promise<unknown> =>
    'x-amz-target' in request.headers ? bus.handle(request) : scheduler.handle(request)
  let note: KeyNote | undefined
  const keyNotes = {
    get: () => Promise.resolve(note),
    put: (next: KeyNote) => {
      note = next
      return Promise.resolve()
    },
  }
  const another: Both['another'] = (options = {}) =>
    openEventBridgeScheduler({
      clock,
      random: seededRandom(1),
      ...eventbridge.access,
      requestHandler: { handle } as object,
      roleArn: ROLE,
      schedulerRoleArn: SCHEDULER_ROLE,
      shared: {
        namespace: NAMESPACE,
        connectionName: NAMESPACE,
        destinationName: 'P-test-RunJob-ApiDestination',
        targetUrl: 'https://signalbox.example.org/api/v1/triggers/eventbridge',
        authHeader: 'X-Aws-Event-Bridge-Api-Key',
        apiKey: 'the-key',
        keyNotes,
      },
      ...options,
    })
  const play: Both['play'] = async (what) => {
    const end = { settled: false }
    const done = what.finally(() => {
      end.settled = true
    })
    done.catch(() => undefined)
    while (!end.settled) await clock.advance(50)
    return done
  }
  return { clock, eventbridge, scheduler, trigger: await another(), calls, another, play }
}

/** A schedule; every day at nine in Berlin, unless it says otherwise. */
export function rule(name: string, more: Partial<TriggerRule> = {}): TriggerRule {
  return { name, expression: 'cron(0 9 * * ? *)', timeZone: 'Europe/Berlin', enabled: true, ...more }
}
