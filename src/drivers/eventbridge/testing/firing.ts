/**
 * The fake's clockwork: rules that are due call their API destination, with the key of its connection, the input that their
 * transformer makes, and AWS's manner of repeating: after 401, 407, 409, 429, 5xx and no answer, never after another 4xx.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
 */
import type { FakeObjects } from './objects.ts'
import type { FakeRule, FakeTarget } from './shapes.ts'

export interface FakeCall {
  readonly url: string
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** @returns the HTTP status; rejects when nobody answers */
export type Deliver = (call: FakeCall) => Promise<number>

/** One event on its way to one target. */
export interface FakeDelivery {
  readonly rule: string
  readonly target: FakeTarget
  readonly body: string
  readonly statuses: (number | 'no answer' | 'no connection')[]
  state: 'pending' | 'delivered' | 'dropped'
}

interface Event {
  readonly id: string
  readonly time: string
  readonly source: string
  readonly 'detail-type': string
  readonly detail: unknown
}

const RETRIES = 185
const REPEATED = new Set([401, 407, 409, 429])

export class FakeFiring {
  readonly deliveries: FakeDelivery[] = []
  readonly #objects: FakeObjects
  readonly #deliver: Deliver
  #serial = 0

  constructor(objects: FakeObjects, deliver: Deliver) {
    this.#objects = objects
    this.#deliver = deliver
  }

  /**
   * All enabled rules of the default bus that are due then, each once (AWS may fire one twice: call it again).
   * @param at milliseconds since the epoch; events carry whole seconds
   */
  async tick(at: number, isDue: (expression: string, at: number) => boolean): Promise<void> {
    for (const rule of this.#objects.rules.values()) {
      const due = rule.ScheduleExpression !== undefined && isDue(rule.ScheduleExpression, at)
      if (due && rule.State === 'ENABLED') await this.fire(rule.Name, at)
    }
  }

  /** One event of this rule, whatever its expression says. @returns the deliveries to its targets, tried once */
  async fire(name: string, at: number, times = 1): Promise<readonly FakeDelivery[]> {
    const rule = this.#objects.rules.get(`default|${name}`)
    if (rule === undefined) throw new Error(`no rule ${name}`)
    const event = this.#event(at, 'aws.events', 'Scheduled Event', {})
    const made = Array.from({ length: times }, () => this.#deliveriesOf(rule, event)).flat()
    await Promise.all(made.map((delivery) => this.#attempt(delivery)))
    return made
  }

  /** What PutEvents was given goes to the rules of its bus whose pattern names its source. */
  async events({ Entries }: Readonly<Record<string, unknown>>): Promise<void> {
    for (const entry of Entries as readonly Readonly<Record<string, string>>[]) {
      const { EventBusName = 'default', Source = '', DetailType = '', Detail = '{}', Time } = entry
      const at = Time === undefined ? 0 : Number(Time) * 1_000
      const event = this.#event(at, Source, DetailType, JSON.parse(Detail))
      const bus = EventBusName.split('/').at(-1)
      const rules = [...this.#objects.rules.values()].filter((rule) => rule.EventBusName === bus)
      const made = rules
        .filter((rule) => rule.State === 'ENABLED' && matches(rule, event))
        .flatMap((rule) => this.#deliveriesOf(rule, event))
      await Promise.all(made.map((delivery) => this.#attempt(delivery)))
    }
  }

  /** Tries once more what has not arrived. @returns what still has not */
  async again(): Promise<readonly FakeDelivery[]> {
    const pending = this.deliveries.filter(({ state }) => state === 'pending')
    await Promise.all(pending.map((delivery) => this.#attempt(delivery)))
    return pending.filter(({ state }) => state === 'pending')
  }

  #event(at: number, source: string, type: string, detail: unknown): Event {
    this.#serial += 1
    const id = `11111111-0000-4000-8000-${String(this.#serial).padStart(12, '0')}`
    const time = new Date(at).toISOString().replace(/\.\d+Z$/, 'Z')
    return { id, time, source, 'detail-type': type, detail }
  }

  #deliveriesOf(rule: FakeRule, event: Event): FakeDelivery[] {
    return (this.#objects.targets.get(rule.Arn) ?? []).map((target) => {
      const body = transformed(target, event)
      const delivery: FakeDelivery = { rule: rule.Name, target, body, statuses: [], state: 'pending' }
      this.deliveries.push(delivery)
      return delivery
    })
  }

  async #attempt(delivery: FakeDelivery): Promise<void> {
    const call = this.#callOf(delivery)
    const status =
      call === undefined ? 'no connection' : await this.#deliver(call).catch(() => 'no answer' as const)
    delivery.statuses.push(status)
    const passing = typeof status === 'string' || status >= 500 || REPEATED.has(status)
    if (!passing) delivery.state = status < 300 ? 'delivered' : 'dropped'
    else if (delivery.statuses.length > RETRIES) delivery.state = 'dropped'
  }

  #callOf({ target, body }: FakeDelivery): FakeCall | undefined {
    const { connections, destinations } = this.#objects
    const destination = [...destinations.values()].find(
      ({ ApiDestinationArn }) => ApiDestinationArn === target.Arn,
    )
    const connection = [...connections.values()].find(
      ({ ConnectionArn }) => ConnectionArn === destination?.ConnectionArn,
    )
    if (destination === undefined || connection === undefined) return undefined
    if (connection.ConnectionState === 'DEAUTHORIZED') return undefined
    return {
      url: destination.InvocationEndpoint,
      method: destination.HttpMethod,
      headers: {
        'content-type': 'application/json; charset=utf-8',
        'user-agent': 'Amazon/EventBridge/ApiDestinations',
        [connection.header]: connection.keyInForce,
      },
      body,
    }
  }
}

function matches({ EventPattern }: FakeRule, event: Event): boolean {
  return EventPattern !== undefined && fits(JSON.parse(EventPattern), event)
}

/** A pattern lists, for each field it names, the values that fit; within objects as well. */
function fits(pattern: unknown, value: unknown): boolean {
  if (Array.isArray(pattern)) return pattern.includes(value)
  if (typeof pattern !== 'object' || pattern === null || typeof value !== 'object' || value === null)
    return false
  return Object.entries(pattern).every(([field, allowed]) => fits(allowed, Reflect.get(value, field)))
}

/** The paths are filled in; one outside quotes as a JSON value, one within as its text. */
function transformed({ InputTransformer: transformer }: FakeTarget, event: Event): string {
  if (transformer === undefined) return JSON.stringify(event)
  const paths = transformer.InputPathsMap ?? {}
  return transformer.InputTemplate.replaceAll(
    /(")?<([A-Za-z0-9_-]+)>/g,
    (whole, quote: string | undefined, name: string) => {
      const path = paths[name]
      if (path === undefined) return whole
      const value = path
        .replace(/^\$\.?/, '')
        .split('.')
        .reduce<unknown>(
          (within, step) => (within as Readonly<Record<string, unknown>> | undefined)?.[step],
          event,
        )
      const text = JSON.stringify(value ?? '')
      return quote === undefined ? text : `"${text.slice(1, -1)}`
    },
  )
}
