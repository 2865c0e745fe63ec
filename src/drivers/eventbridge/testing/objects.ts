/** What lies in the fake EventBridge, and what its operations do to it. Times are seconds, as in the API. */
import type { Clock } from '../../../kernel/clock.ts'
import {
  authOf,
  checkedName,
  descriptionOf,
  FakeRefusal,
  paged,
  type FakeConnection,
  type FakeDestination,
  type FakeRule,
  type FakeTarget,
  type Input,
} from './shapes.ts'

interface Tag {
  readonly Key: string
  readonly Value: string
}

interface Settings {
  readonly clock: Clock
  readonly region: string
  readonly looksToAuthorise: number
  readonly maxRules: number
}

const ACCOUNT = '123456789012'
const EXPRESSION =
  /^(?:cron\([^()]+\)|rate\((?:1 (?:minute|hour|day)|(?:[2-9]|[1-9]\d+) (?:minutes|hours|days))\))$/

export class FakeObjects {
  readonly connections = new Map<string, FakeConnection>()
  readonly destinations = new Map<string, FakeDestination>()
  readonly buses = new Map<string, { readonly Name: string; readonly Arn: string; Description?: string }>()
  /** By `bus|name`. */
  readonly rules = new Map<string, FakeRule>()
  /** By the ARN of a rule. */
  readonly targets = new Map<string, FakeTarget[]>()
  /** By ARN. */
  readonly tags = new Map<string, Map<string, string>>()
  /** Codes with which the next targets are not taken, although the call is answered 200. */
  readonly failingTargets: string[] = []
  readonly #settings: Settings
  #serial = 0

  constructor(settings: Settings) {
    this.#settings = settings
    this.buses.set('default', { Name: 'default', Arn: this.#arn('event-bus/default') })
  }

  call(operation: string, input: Input): object {
    const operations: Readonly<Record<string, (input: Input) => object>> = {
      CreateConnection: (i) => this.#createConnection(i),
      UpdateConnection: (i) => this.#updateConnection(i),
      DescribeConnection: (i) => this.#describeConnection(i),
      DeauthorizeConnection: (i) => {
        this.#connection(i).ConnectionState = 'DEAUTHORIZED'
        return {}
      },
      DeleteConnection: (i) => {
        this.connections.delete(this.#connection(i).Name)
        return {}
      },
      CreateApiDestination: (i) => this.#createDestination(i),
      UpdateApiDestination: (i) => this.#updateDestination(i),
      DescribeApiDestination: (i) => ({ ...this.#destination(i), ApiDestinationState: this.#stateOf(i) }),
      DeleteApiDestination: (i) => {
        this.destinations.delete(this.#destination(i).Name)
        return {}
      },
      PutRule: (i) => this.#putRule(i),
      DescribeRule: (i) => this.#rule(i['Name'], i),
      DeleteRule: (i) => this.#deleteRule(i),
      ListRules: (i) => this.#listRules(i),
      ListRuleNamesByTarget: (i) => this.#namesByTarget(i),
      ListTargetsByRule: (i) => ({ Targets: this.targets.get(this.#rule(i['Rule'], i).Arn) ?? [] }),
      PutTargets: (i) => this.#putTargets(i),
      RemoveTargets: (i) => this.#removeTargets(i),
      ListTagsForResource: (i) => this.#listTags(i),
      TagResource: (i) => this.#tag(i),
      CreateEventBus: (i) => this.#createBus(i),
      DescribeEventBus: (i) => this.#bus(i['Name']),
      DeleteEventBus: (i) => this.#deleteBus(i),
      PutEvents: () => ({ FailedEntryCount: 0, Entries: [] }),
    }
    const run = operations[operation]
    if (run === undefined) throw new FakeRefusal('UnknownOperationException', operation)
    return run(input)
  }

  #createConnection(input: Input): object {
    const name = checkedName(input['Name'], 'Name')
    if (this.connections.has(name))
      throw new FakeRefusal('ResourceAlreadyExistsException', `Connection ${name} already exists.`)
    const { header, key } = authOf(input)
    const now = this.#now()
    const connection: FakeConnection = {
      Name: name,
      ConnectionArn: this.#arn(`connection/${name}/${this.#id()}`),
      ...descriptionOf(input),
      AuthorizationType: String(input['AuthorizationType']),
      header,
      key,
      keyInForce: key,
      ConnectionState: 'AUTHORIZING',
      looksLeft: this.#settings.looksToAuthorise,
      LastModifiedTime: now,
      CreationTime: now,
    }
    this.connections.set(name, connection)
    return { ConnectionArn: connection.ConnectionArn, ConnectionState: 'AUTHORIZING' }
  }

  #updateConnection(input: Input): object {
    const connection = this.#connection(input)
    const { header, key } = authOf(input)
    Object.assign(connection, descriptionOf(input), {
      header,
      key,
      ConnectionState: 'AUTHORIZING',
      looksLeft: this.#settings.looksToAuthorise,
      LastModifiedTime: this.#now(),
    })
    return { ConnectionArn: connection.ConnectionArn, ConnectionState: 'AUTHORIZING' }
  }

  #describeConnection(input: Input): object {
    const connection = this.#connection(input)
    if (connection.ConnectionState === 'AUTHORIZING' && connection.looksLeft-- <= 0) {
      connection.ConnectionState = 'AUTHORIZED'
      connection.keyInForce = connection.key
    }
    const { header, key: _key, keyInForce: _old, looksLeft: _left, ...told } = connection
    return { ...told, AuthParameters: { ApiKeyAuthParameters: { ApiKeyName: header } } }
  }

  #createDestination(input: Input): object {
    const name = checkedName(input['Name'], 'Name')
    if (this.destinations.has(name))
      throw new FakeRefusal('ResourceAlreadyExistsException', `An api-destination ${name} already exists.`)
    const fields = this.#destinationFields(input)
    const ApiDestinationArn = this.#arn(`api-destination/${name}/${this.#id()}`)
    this.destinations.set(name, { Name: name, ApiDestinationArn, CreationTime: this.#now(), ...fields })
    return { ApiDestinationArn, ApiDestinationState: 'ACTIVE' }
  }

  #updateDestination(input: Input): object {
    const destination = this.#destination(input)
    Object.assign(destination, this.#destinationFields(input))
    return { ApiDestinationArn: destination.ApiDestinationArn }
  }

  #destinationFields(input: Input) {
    const { ConnectionArn, InvocationEndpoint, HttpMethod } = input as unknown as FakeDestination
    if (!InvocationEndpoint.startsWith('https://'))
      throw new FakeRefusal('ValidationException', `InvocationEndpoint ${InvocationEndpoint} must use HTTPS.`)
    if (this.#connectionByArn(ConnectionArn) === undefined)
      throw new FakeRefusal('ResourceNotFoundException', `Connection ${ConnectionArn} does not exist.`)
    return { ConnectionArn, InvocationEndpoint, HttpMethod, ...descriptionOf(input) }
  }

  #stateOf(input: Input): string {
    const connection = this.#connectionByArn(this.#destination(input).ConnectionArn)
    return connection === undefined || connection.ConnectionState === 'DEAUTHORIZED' ? 'INACTIVE' : 'ACTIVE'
  }

  #putRule(input: Input): object {
    const name = checkedName(input['Name'], 'Name')
    const { Name: bus } = this.#bus(input['EventBusName'] ?? 'default')
    const { ScheduleExpression, EventPattern, State = 'ENABLED' } = input as Partial<FakeRule>
    if (ScheduleExpression === undefined && EventPattern === undefined)
      throw new FakeRefusal('ValidationException', 'ScheduleExpression or EventPattern must be specified.')
    if (ScheduleExpression !== undefined && (bus !== 'default' || !EXPRESSION.test(ScheduleExpression)))
      throw new FakeRefusal('ValidationException', 'Parameter ScheduleExpression is not valid.')
    const key = `${bus}|${name}`
    const old = this.rules.get(key)
    if (old === undefined && this.#rulesOf(bus).length >= this.#settings.maxRules)
      throw new FakeRefusal(
        'LimitExceededException',
        'The requested resource exceeds the maximum number allowed.',
      )
    const Arn = this.#arn(`rule/${bus === 'default' ? '' : `${bus}/`}${name}`)
    this.rules.set(key, {
      Name: name,
      Arn,
      EventBusName: bus,
      State,
      ...descriptionOf(input),
      ...(ScheduleExpression === undefined ? {} : { ScheduleExpression }),
      ...(EventPattern === undefined ? {} : { EventPattern }),
    })
    if (old === undefined) this.#setTags(Arn, input['Tags'] as readonly Tag[] | undefined)
    return { RuleArn: Arn }
  }

  #deleteRule(input: Input): object {
    const key = `${this.#busName(input)}|${String(input['Name'])}`
    const rule = this.rules.get(key)
    if (rule === undefined) return {}
    if ((this.targets.get(rule.Arn) ?? []).length > 0)
      throw new FakeRefusal('ValidationException', "Rule can't be deleted since it has targets.")
    this.rules.delete(key)
    this.targets.delete(rule.Arn)
    this.tags.delete(rule.Arn)
    return {}
  }

  #listRules(input: Input): object {
    const { NamePrefix: prefix = '' } = input as { readonly NamePrefix?: string }
    const rules = this.#rulesOf(this.#busName(input)).filter(({ Name }) => Name.startsWith(prefix))
    const { page, NextToken } = paged(rules, input)
    return { Rules: page, ...NextToken }
  }

  #namesByTarget(input: Input): object {
    const calling = this.#rulesOf(this.#busName(input)).filter(({ Arn }) =>
      this.targets.get(Arn)?.some((target) => target.Arn === input['TargetArn']),
    )
    const { page, NextToken } = paged(
      calling.map(({ Name }) => Name),
      input,
    )
    return { RuleNames: page, ...NextToken }
  }

  #putTargets(input: Input): object {
    const rule = this.#rule(input['Rule'], input)
    const targets = [...(this.targets.get(rule.Arn) ?? [])]
    const FailedEntries = []
    for (const target of input['Targets'] as readonly FakeTarget[]) {
      const ErrorCode = this.failingTargets.shift()
      if (ErrorCode !== undefined) {
        FailedEntries.push({ TargetId: target.Id, ErrorCode, ErrorMessage: `not taken: ${ErrorCode}` })
        continue
      }
      if (target.Arn.includes(':api-destination/') && target.RoleArn === undefined)
        throw new FakeRefusal('ValidationException', `RoleArn is required for target ${target.Arn}.`)
      const at = targets.findIndex(({ Id }) => Id === target.Id)
      targets.splice(at === -1 ? targets.length : at, 1, target)
    }
    if (targets.length > 5)
      throw new FakeRefusal('LimitExceededException', 'A rule has five targets at most.')
    this.targets.set(rule.Arn, targets)
    return { FailedEntryCount: FailedEntries.length, FailedEntries }
  }

  #removeTargets(input: Input): object {
    const { Arn } = this.#rule(input['Rule'], input)
    const ids = input['Ids'] as readonly string[]
    if (ids.length === 0 || ids.length > 10) throw new FakeRefusal('ValidationException', 'Ids: 1 to 10')
    this.targets.set(
      Arn,
      (this.targets.get(Arn) ?? []).filter(({ Id }) => !ids.includes(Id)),
    )
    return { FailedEntryCount: 0, FailedEntries: [] }
  }

  #listTags({ ResourceARN }: Input): object {
    this.#checkTaggable(String(ResourceARN))
    const tags = this.tags.get(String(ResourceARN)) ?? new Map<string, string>()
    return { Tags: [...tags].map(([Key, Value]) => ({ Key, Value })) }
  }

  #tag({ ResourceARN, Tags }: Input): object {
    this.#checkTaggable(String(ResourceARN))
    this.#setTags(String(ResourceARN), Tags as readonly Tag[])
    return {}
  }

  #checkTaggable(arn: string): void {
    const there = [...this.rules.values(), ...this.buses.values()].some(({ Arn }) => Arn === arn)
    if (!there) throw new FakeRefusal('ResourceNotFoundException', `${arn} does not exist, or has no tags.`)
  }

  #setTags(arn: string, tags: readonly Tag[] = []): void {
    const old = this.tags.get(arn) ?? new Map<string, string>()
    this.tags.set(arn, new Map([...old, ...tags.map(({ Key, Value }) => [Key, Value] as const)]))
  }

  #createBus(input: Input): object {
    const name = String(input['Name'])
    if (this.buses.has(name))
      throw new FakeRefusal('ResourceAlreadyExistsException', `Event bus ${name} already exists.`)
    const Arn = this.#arn(`event-bus/${name}`)
    this.buses.set(name, { Name: name, Arn, ...descriptionOf(input) })
    this.#setTags(Arn, input['Tags'] as readonly Tag[] | undefined)
    return { EventBusArn: Arn }
  }

  #deleteBus(input: Input): object {
    const name = String(input['Name'])
    if (this.#rulesOf(name).length > 0)
      throw new FakeRefusal('ValidationException', "Event bus can't be deleted since it has rules.")
    this.buses.delete(name)
    return {}
  }

  #bus(name: unknown) {
    const bus = this.buses.get(String(name).split('/').at(-1) ?? '')
    if (bus === undefined)
      throw new FakeRefusal('ResourceNotFoundException', `Event bus ${String(name)} does not exist.`)
    return bus
  }

  #busName(input: Input): string {
    return this.#bus(input['EventBusName'] ?? 'default').Name
  }

  #rule(name: unknown, input: Input): FakeRule {
    const rule = this.rules.get(`${this.#busName(input)}|${String(name)}`)
    if (rule === undefined)
      throw new FakeRefusal('ResourceNotFoundException', `Rule ${String(name)} does not exist.`)
    return rule
  }

  #rulesOf(bus: string): FakeRule[] {
    return [...this.rules.values()].filter(({ EventBusName }) => EventBusName === bus)
  }

  #connection({ Name }: Input): FakeConnection {
    const connection = this.connections.get(String(Name))
    if (connection === undefined)
      throw new FakeRefusal('ResourceNotFoundException', `Connection '${String(Name)}' does not exist.`)
    return connection
  }

  #connectionByArn(arn: string): FakeConnection | undefined {
    return [...this.connections.values()].find(({ ConnectionArn }) => ConnectionArn === arn)
  }

  #destination({ Name }: Input): FakeDestination {
    const destination = this.destinations.get(String(Name))
    if (destination === undefined)
      throw new FakeRefusal(
        'ResourceNotFoundException',
        `An api-destination '${String(Name)}' does not exist.`,
      )
    return destination
  }

  #arn(resource: string): string {
    return `arn:aws:events:${this.#settings.region}:${ACCOUNT}:${resource}`
  }

  #id(): string {
    this.#serial += 1
    return `00000000-0000-4000-8000-${String(this.#serial).padStart(12, '0')}`
  }

  #now(): number {
    return this.#settings.clock.now() / 1_000
  }
}
