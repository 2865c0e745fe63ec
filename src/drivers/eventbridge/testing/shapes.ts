/** What the fake EventBridge is made of, how its inputs are read, and how it refuses. Times are seconds, as in the API. */

export class FakeRefusal extends Error {
  readonly status: number

  constructor(name: string, message: string) {
    super(message)
    this.name = name
    this.status = /^Internal|ServiceUnavailable/.test(name) ? 500 : 400
  }
}

export interface FakeConnection {
  readonly Name: string
  readonly ConnectionArn: string
  Description?: string
  AuthorizationType: string
  header: string
  /** Never told. */
  key: string
  /** What it sends until the new one is in force. */
  keyInForce: string
  ConnectionState: string
  looksLeft: number
  LastModifiedTime: number
  readonly CreationTime: number
}

export interface FakeDestination {
  readonly Name: string
  readonly ApiDestinationArn: string
  Description?: string
  ConnectionArn: string
  InvocationEndpoint: string
  HttpMethod: string
  readonly CreationTime: number
}

export interface FakeTarget {
  readonly Id: string
  readonly Arn: string
  readonly RoleArn?: string
  readonly InputTransformer?: {
    readonly InputPathsMap?: Readonly<Record<string, string>>
    readonly InputTemplate: string
  }
  readonly RetryPolicy?: object
}

export interface FakeRule {
  readonly Name: string
  readonly Arn: string
  readonly EventBusName: string
  ScheduleExpression?: string
  EventPattern?: string
  State: string
  Description?: string
}

export type Input = Readonly<Record<string, unknown>>

const NAME = /^[.\-_A-Za-z0-9]{1,64}$/

export function checkedName(name: unknown, field: string): string {
  if (typeof name === 'string' && NAME.test(name)) return name
  throw new FakeRefusal('ValidationException', `${field} '${String(name)}' does not match ${String(NAME)}`)
}

export function descriptionOf(input: Input): { readonly Description?: string } {
  const { Description } = input as { readonly Description?: string }
  if (Description === undefined) return {}
  if (Description.length > 512) throw new FakeRefusal('ValidationException', 'Description is too long')
  return { Description }
}

export function authOf({ AuthParameters }: Input): { readonly header: string; readonly key: string } {
  const { ApiKeyAuthParameters: api } = AuthParameters as {
    readonly ApiKeyAuthParameters?: { readonly ApiKeyName: string; readonly ApiKeyValue: string }
  }
  if (api === undefined) throw new FakeRefusal('ValidationException', 'ApiKeyAuthParameters are missing')
  return { header: api.ApiKeyName, key: api.ApiKeyValue }
}

export function paged<T>(all: readonly T[], { Limit = 100, NextToken }: Input) {
  const from = NextToken === undefined ? 0 : Number(NextToken)
  const to = from + Math.min(Number(Limit), 100)
  return { page: all.slice(from, to), NextToken: to < all.length ? { NextToken: String(to) } : {} }
}
