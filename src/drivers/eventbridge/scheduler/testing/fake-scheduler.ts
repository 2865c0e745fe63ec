/**
 * An in-process EventBridge Scheduler: the calls we make, with the refusals that its documentation tells of, and schedules that fire
 * when a test says that they are due. It stands where HTTP would (`requestHandler`).
 * https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Operations.html
 */
import {
  absent,
  answered,
  conflict,
  invalid,
  Refusal,
  route,
  type Call,
  type HttpRequest,
} from './scheduler-wire.ts'

/** What a schedule puts on the bus. */
export interface BusEvent {
  readonly Source: string
  readonly DetailType: string
  readonly Detail: string
  /** The bus. */
  readonly EventBusName: string
  /** As whom. */
  readonly RoleArn: string
}

export interface FakeSchedule {
  readonly Name: string
  readonly GroupName: string
  readonly ScheduleExpression: string
  readonly ScheduleExpressionTimezone?: string
  readonly State: 'ENABLED' | 'DISABLED'
  readonly Description?: string
  /** Seconds since the epoch, as on the wire. */
  readonly StartDate?: number
  readonly EndDate?: number
  readonly FlexibleTimeWindow: { readonly Mode: string }
  readonly ActionAfterCompletion: string
  readonly Target: {
    readonly Arn: string
    readonly RoleArn: string
    readonly Input?: string
    readonly EventBridgeParameters?: { readonly Source: string; readonly DetailType: string }
    readonly RetryPolicy: object
  }
  readonly CreationDate: number
  readonly LastModificationDate: number
}

interface FakeGroup {
  readonly arn: string
  tags: readonly { readonly Key: string; readonly Value: string }[]
  state: 'ACTIVE' | 'DELETING'
}

const WRITES = /^(?:Create|Update|Delete|Tag|Untag)/
const NAME = /^[0-9a-zA-Z_.-]{1,64}$/
const MINUTE = 60
export interface FakeSchedulerOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Takes what schedules put on the bus. */
  readonly putEvents?: (event: BusEvent) => void
  /** Default 100. */
  readonly pageSize?: number
}

export class FakeScheduler {
  readonly #options: FakeSchedulerOptions
  readonly #groups = new Map<string, FakeGroup>()
  readonly #schedules = new Map<string, FakeSchedule>()
  readonly #operations: string[] = []
  readonly #scripts = new Map<string, (() => void)[]>()
  readonly #lost = new Set<string>()
  #executions = 0

  constructor(options: FakeSchedulerOptions) {
    this.#options = options
    this.#groups.set('default', { arn: groupArn('default'), tags: [], state: 'ACTIVE' })
  }

  /** The SDK's `requestHandler.handle`. */
  readonly handle = async (request: HttpRequest): Promise<unknown> => {
    await Promise.resolve()
    try {
      const call = route(request)
      const output = this.#do(call)
      if (this.#lost.delete(call.operation)) throw lostAnswer()
      return answered(output)
    } catch (error) {
      if (error instanceof Refusal) return answered(error)
      throw error
    }
  }

  /** Operations so far, in order; forgets them. */
  operations(): string[] {
    return this.#operations.splice(0)
  }

  /** Those that write, so far; forgets all. */
  writes(): string[] {
    return this.operations().filter((operation) => WRITES.test(operation))
  }

  /** What is to happen, once each, before the next calls of this operation: throw `refusal(…)`, or change something. */
  before(operation: string, ...happenings: (() => void)[]): void {
    this.#scripts.set(operation, happenings)
  }

  /** The next call of this operation is done, but not answered. */
  lose(operation: string): void {
    this.#lost.add(operation)
  }

  refusal(name: string, message: string, status = 400): Error {
    return new Refusal(name, message, status)
  }

  schedule(group: string, name: string): FakeSchedule | undefined {
    return this.#schedules.get(`${group}/${name}`)
  }

  /** Names of the schedules of a group. */
  names(group: string): string[] {
    return [...this.#schedules.values()].filter((s) => s.GroupName === group).map((s) => s.Name)
  }

  /** Somebody changes a schedule by hand, or makes one. */
  tamper(group: string, name: string, change: Partial<FakeSchedule>): void {
    const there = this.schedule(group, name)
    const modified = { ...blank(group, name, this.#now()), ...there, ...change }
    this.#schedules.set(`${group}/${name}`, { ...modified, LastModificationDate: this.#stamp(there) })
  }

  /** Somebody deletes a schedule by hand. */
  drop(group: string, name: string): void {
    this.#schedules.delete(`${group}/${name}`)
  }

  addGroup(name: string, tags: FakeGroup['tags'] = []): void {
    this.#groups.set(name, { arn: groupArn(name), tags, state: 'ACTIVE' })
  }

  groupTags(name: string): FakeGroup['tags'] | undefined {
    return this.#groups.get(name)?.tags
  }

  /** AWS is done with the deletion of groups. */
  finishDeletions(): void {
    for (const [name, { state }] of this.#groups) {
      if (state !== 'DELETING') continue
      this.#groups.delete(name)
      for (const schedule of this.names(name)) this.#schedules.delete(`${name}/${schedule}`)
    }
  }

  /** The schedule is due at this time. @returns whether it put an event on the bus */
  due(group: string, name: string, at: number): boolean {
    const schedule = this.schedule(group, name)
    if (schedule?.State !== 'ENABLED' || this.#groups.get(group)?.state !== 'ACTIVE') return false
    const seconds = at / 1_000
    if (schedule.StartDate !== undefined && seconds < schedule.StartDate) return false
    if (schedule.EndDate !== undefined && seconds >= schedule.EndDate) return false
    const { Arn, RoleArn, Input = '{}', EventBridgeParameters: parameters } = schedule.Target
    if (parameters === undefined) return false
    const Detail = Input.replaceAll('<aws.scheduler.scheduled-time>', iso(at))
      .replaceAll('<aws.scheduler.execution-id>', `execution-${++this.#executions}`)
      .replaceAll('<aws.scheduler.attempt-number>', '1')
      .replaceAll('<aws.scheduler.schedule-arn>', `${groupArn(group)}/${name}`)
    this.#options.putEvents?.({ ...parameters, Detail, EventBusName: Arn, RoleArn })
    return true
  }

  #now(): number {
    return this.#options.now() / 1_000
  }

  /** Later than the change before it, also when no time has passed. */
  #stamp(before: FakeSchedule | undefined): number {
    return Math.max(this.#now(), (before?.LastModificationDate ?? 0) + 0.001)
  }

  #do(call: Call): object {
    const { operation } = call
    this.#operations.push(operation)
    this.#scripts.get(operation)?.shift()?.()
    switch (operation) {
      case 'ListSchedules':
        return this.#list(call)
      case 'GetSchedule':
        return this.#present(call.query['groupName'], call.name)
      case 'CreateSchedule':
        return this.#put(call, false)
      case 'UpdateSchedule':
        return this.#put(call, true)
      case 'DeleteSchedule':
        this.#present(call.query['groupName'], call.name)
        this.#schedules.delete(`${call.query['groupName'] ?? 'default'}/${call.name}`)
        return {}
      default:
        return this.#doWithGroup(call)
    }
  }

  #doWithGroup({ operation, name, body }: Call): object {
    switch (operation) {
      case 'CreateScheduleGroup': {
        if (!NAME.test(name)) throw invalid(`1 validation error detected: Value '${name}' at 'name'`)
        if (this.#groups.has(name)) throw conflict(`Schedule group ${name} already exists.`)
        this.addGroup(name, (body['Tags'] ?? []) as FakeGroup['tags'])
        return { ScheduleGroupArn: groupArn(name) }
      }
      case 'GetScheduleGroup': {
        const { arn, state } = this.#group(name)
        return { Arn: arn, Name: name, State: state }
      }
      case 'DeleteScheduleGroup': {
        this.#group(name).state = 'DELETING'
        return {}
      }
      case 'ListTagsForResource':
        return { Tags: this.#groupByArn(name).tags }
      default: {
        const group = this.#groupByArn(name)
        const tags = body['Tags'] as FakeGroup['tags']
        group.tags = [...group.tags.filter(({ Key }) => !tags.some((tag) => tag.Key === Key)), ...tags]
        return {}
      }
    }
  }

  #list({ query }: Call): object {
    const { ScheduleGroup: group = 'default', NextToken: token = '0', MaxResults: max } = query
    this.#group(group)
    const size = Math.min(Number(max ?? 100), this.#options.pageSize ?? 100)
    const all = this.names(group).toSorted()
    const from = Number(token)
    const page = all.slice(from, from + size).map((name) => this.#present(group, name))
    return {
      Schedules: page.map(({ Name, GroupName, State, Target, LastModificationDate }) => ({
        Name,
        GroupName,
        State,
        LastModificationDate,
        Target: { Arn: Target.Arn },
      })),
      ...(from + size < all.length ? { NextToken: String(from + size) } : {}),
    }
  }

  #put({ name, body }: Call, update: boolean): object {
    const { GroupName: group = 'default', ...said } = body as Partial<FakeSchedule>
    const { state } = this.#group(group)
    const there = this.schedule(group, name)
    if (state === 'DELETING') throw conflict(`Schedule group ${group} is being deleted.`)
    if (update && there === undefined) throw absent(`Schedule ${name} does not exist.`)
    if (!update && there !== undefined) throw conflict(`Schedule ${name} already exists.`)
    const { Target, ScheduleExpression = '', StartDate, EndDate } = said
    if (!NAME.test(name)) throw invalid(`1 validation error detected: Value '${name}' at 'name'`)
    if (!/^(?:at|cron|rate)\(.+\)$/.test(ScheduleExpression)) throw invalid('Invalid Schedule Expression.')
    if (said.FlexibleTimeWindow === undefined || Target === undefined) throw invalid('a member is missing')
    if (!isJson(Target.Input)) throw invalid('Provided Input is not a valid JSON.')
    const recurs = !ScheduleExpression.startsWith('at(')
    if (recurs && StartDate !== undefined && StartDate < this.#now() - 5 * MINUTE)
      throw invalid('The StartDate you specify cannot be earlier than 5 minutes ago.')
    if (recurs && EndDate !== undefined && EndDate <= this.#now())
      throw invalid('The EndDate you specify cannot be in the past.')
    if (recurs && StartDate !== undefined && EndDate !== undefined && EndDate <= StartDate)
      throw invalid('The EndDate you specify must come after the StartDate.')
    // Replaced wholly: what is not said has its default.
    this.#schedules.set(`${group}/${name}`, {
      ...blank(group, name, there?.CreationDate ?? this.#now()),
      ...said,
      LastModificationDate: this.#stamp(there),
    })
    // A rate that is not told its start fires at once.
    if (ScheduleExpression.startsWith('rate(') && StartDate === undefined)
      this.due(group, name, this.#options.now())
    return { ScheduleArn: `${groupArn(group).replace('schedule-group', 'schedule')}/${name}` }
  }

  #present(group = 'default', name: string): FakeSchedule {
    this.#group(group)
    const there = this.schedule(group, name)
    if (there === undefined) throw absent(`Schedule ${name} does not exist.`)
    return there
  }

  #group(name: string): FakeGroup {
    const group = this.#groups.get(name)
    if (group === undefined) throw absent(`Schedule group ${name} does not exist.`)
    return group
  }

  #groupByArn(arn: string): FakeGroup {
    return this.#group(arn.split('/').at(-1) ?? '')
  }
}

function blank(GroupName: string, Name: string, CreationDate: number): FakeSchedule {
  return {
    Name,
    GroupName,
    ScheduleExpression: 'rate(1 day)',
    ScheduleExpressionTimezone: 'UTC',
    State: 'ENABLED',
    FlexibleTimeWindow: { Mode: 'OFF' },
    ActionAfterCompletion: 'NONE',
    Target: { Arn: '', RoleArn: '', RetryPolicy: {} },
    CreationDate,
    LastModificationDate: CreationDate,
  }
}

function groupArn(name: string): string {
  return `arn:aws:scheduler:eu-west-1:123456789012:schedule-group/${name}`
}

function iso(at: number): string {
  return new Date(at).toISOString().replace('.000Z', 'Z')
}

function isJson(text: string | undefined): boolean {
  try {
    JSON.parse(text ?? '')
    return true
  } catch {
    return false
  }
}

function lostAnswer(): Error {
  return Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
}
