/**
 * The trigger port: a clock of somebody else (Amazon EventBridge, EventBridge Scheduler) that calls us when a schedule is due. A driver
 * keeps one rule there for each schedule and what the rules share; what is due, and what happens then, it does not know.
 *
 * Contract: every call may be repeated. A driver touches only objects that carry its tag; one of the same name without it is a
 * `foreign` drift and stays as it is. When all is as it should be, `reconcile` makes no call that writes.
 */

/** What a rule is made of. Parameters of the job stay with us. */
export interface TriggerRule {
  /** `[A-Za-z0-9._-]{1,64}` */
  readonly name: string
  /** `cron(…)`, `rate(…)` or `at(…)`, checked. */
  readonly expression: string
  /** IANA name. */
  readonly timeZone: string
  readonly enabled: boolean
  readonly description?: string
  /** From where a rate counts; milliseconds since the epoch. */
  readonly anchor?: number
  /** ISO 8601. */
  readonly startAt?: string
  readonly endAt?: string
}

export interface TriggerDrift {
  readonly object: 'connection' | 'destination' | 'bus_rule' | 'group' | 'rule' | 'target'
  readonly name: string
  /** Whose rule or target it is. */
  readonly schedule?: string
  /** `superfluous`: it carries our tag, and no schedule wants it. `foreign`: it has a name we need, without our tag. */
  readonly problem: 'missing' | 'changed' | 'superfluous' | 'foreign' | 'not_ready'
  /** What differs, in one line; without secrets. */
  readonly detail: string
  readonly repaired: boolean
  /** Why it could not be repaired. */
  readonly error?: string
}

export interface ReconcileOptions {
  /** False: only look. */
  readonly repair: boolean
  /** With `repair`: what has a name we need without our tag becomes ours. */
  readonly adopt?: boolean
  /** Asked of a schedule right before its rule is removed as superfluous: it may have been made since. True: leave it. */
  readonly stillWanted?: (name: string) => Promise<boolean>
  readonly signal?: AbortSignal
}

export interface Trigger {
  readonly kind: 'eventbridge' | 'eventbridge-scheduler'
  /** For people: region, names of the shared objects, the URL that is called; no secrets. */
  readonly facts: Readonly<Record<string, string>>
  /** Why this rule cannot be kept there, in one line that says what to do instead; undefined when it can. Pure. */
  objection(rule: TriggerRule): string | undefined
  /** Makes the rule what is given, wholly. What all rules share must have been reconciled before. @throws SignalboxError */
  put(rule: TriggerRule): Promise<void>
  /** No rule of this name: nothing happens. */
  remove(name: string): Promise<void>
  /** Compares everything with what there is and, with `repair`, makes it so; one object that fails does not keep the others from it. */
  reconcile(rules: readonly TriggerRule[], options: ReconcileOptions): Promise<readonly TriggerDrift[]>
  /** Takes away all that carries our tag: rules, destination, connection. @returns what it removed */
  removeAll(): Promise<readonly string[]>
  close(): Promise<void>
}

/** What such a clock sends us when a rule is due; AWS writes the times as ISO 8601. */
export interface TriggerEvent {
  /** The schedule. */
  readonly schedule: string
  /** When the rule was due, to the minute; milliseconds since the epoch. */
  readonly time: number
  /** Of the event; the same when AWS sends it again. */
  readonly id: string
}
