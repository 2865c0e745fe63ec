/**
 * How callers name a queue: by its name, with its account before it (`123456789012/orders`), by its ARN or by its URL.
 *
 * Invariant: a URL never decides where a request goes, which would let a caller have signed requests sent to a host of
 * its choice; it only names the queue.
 */
import { checkQueueName } from '../../ports/message-checks.ts'

export interface QueueAddress {
  /** As the caller says it. */
  readonly given: string
  readonly name: string
  /** The account, where it is told. */
  readonly owner?: string
  readonly region?: string
  /** Known already; else the engine is asked for it. */
  readonly url?: string
}

const ARN = /^arn:aws[a-z-]*:sqs:([a-z0-9-]+):(\d{12}):([^:/]+)$/
const QUALIFIED = /^(\d{12})\/([^/]+)$/
const URL_OF_QUEUE = /^https?:\/\/([^/?#]+)\/(\d{12})\/([^/?#]+)$/
/** `sqs.REGION.amazonaws.com`, a VPC endpoint's host, or the older `REGION.queue.amazonaws.com`. */
const HOST = /(?:^|\.)sqs\.([a-z0-9-]+)\.(?:vpce\.)?amazonaws\.|^([a-z0-9-]+)\.queue\.amazonaws\./

/** @throws SignalboxError `invalid_argument` */
export function parseAddress(given: string): QueueAddress {
  const text = typeof given === 'string' ? given : ''
  const address = fromArn(text) ?? fromUrl(text) ?? fromQualified(text) ?? { name: given }
  checkQueueName(address.name)
  return { given, ...address }
}

/** The name in a queue's ARN, as dead-letter policies and sources give it. */
export function nameInArn(arn: string): string {
  return arn.slice(arn.lastIndexOf(':') + 1)
}

type Parsed = Omit<QueueAddress, 'given'>

function fromArn(text: string): Parsed | undefined {
  const [, region = '', owner = '', name = ''] = ARN.exec(text) ?? []
  return name === '' ? undefined : { name, owner, region }
}

function fromUrl(url: string): Parsed | undefined {
  const [, host = '', owner = '', name = ''] = URL_OF_QUEUE.exec(url) ?? []
  if (name === '') return undefined
  const match = HOST.exec(host)
  const region = match?.[1] ?? match?.[2]
  return { name, owner, url, ...(region === undefined ? {} : { region }) }
}

function fromQualified(text: string): Parsed | undefined {
  const [, owner = '', name = ''] = QUALIFIED.exec(text) ?? []
  return name === '' ? undefined : { name, owner }
}
