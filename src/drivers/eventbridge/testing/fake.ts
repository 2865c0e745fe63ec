/**
 * An EventBridge in process: the operations that the drivers use, in the protocol of the SDK (AWS JSON 1.1), as AWS documents
 * them; and it fires (`firing.ts`). Hand its `requestHandler` to a driver.
 *
 * It is strict where a driver could go wrong: PutRule replaces wholly and ignores the tags of a rule that is there, a rule with
 * targets is not deleted, connections need their time, keys cannot be read back, connections and destinations have no tags.
 * https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_Operations.html
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import type { Clock } from '../../../kernel/clock.ts'
import { FakeFiring, type Deliver } from './firing.ts'
import { FakeObjects } from './objects.ts'
import { FakeRefusal } from './shapes.ts'

export interface FakeOptions {
  readonly clock: Clock
  /** How an API destination is called; default: nobody answers. */
  readonly deliver?: Deliver
  /** So many looks at a connection go by before it is authorised; default 1. */
  readonly looksToAuthorise?: number
  /** Rules of one bus; default 300. */
  readonly maxRules?: number
}

interface Fault {
  readonly operation: string
  readonly name: string
  left: number
}

const READS = /^(?:Describe|List)/
const REGION = 'eu-west-1'

export class FakeEventBridge {
  readonly objects: FakeObjects
  readonly firing: FakeFiring
  /** Operations in the order in which they came. */
  readonly operations: string[] = []
  readonly #faults: Fault[] = []

  constructor({ clock, deliver, looksToAuthorise = 1, maxRules = 300 }: FakeOptions) {
    this.objects = new FakeObjects({ clock, region: REGION, looksToAuthorise, maxRules })
    this.firing = new FakeFiring(this.objects, deliver ?? (() => Promise.reject(new Error('nobody listens'))))
  }

  /** For the SDK's client. */
  get requestHandler(): object {
    return { handle: (request: FakeRequest) => this.#handle(request) }
  }

  /** What a driver needs to talk to it. */
  get access() {
    const credentials = { accessKeyId: 'AKIATEST', secretAccessKey: 'secret' }
    return { region: REGION, credentials, requestHandler: this.requestHandler }
  }

  /** Operations since the last call that change something. */
  writes(): string[] {
    return this.operations.splice(0).filter((operation) => !READS.test(operation))
  }

  /** The next calls of this operation (`*`: of any) fail: with this error of AWS; `lost`: done, but not answered; `hangs`. */
  fail(operation: string, name: string, times = 1): void {
    this.#faults.push({ operation, name, left: times })
  }

  async #handle({ headers, body }: FakeRequest): Promise<{ readonly response: unknown }> {
    const { status, text } = await this.#respond(
      headers['x-amz-target'] ?? '',
      new TextDecoder().decode(body),
    )
    const answerHeaders = { 'content-type': 'application/x-amz-json-1.1' }
    return {
      response: { statusCode: status, headers: answerHeaders, body: Readable.from([Buffer.from(text)]) },
    }
  }

  /** Over HTTP, for a driver in a server. @returns the endpoint, and what ends it */
  async listen(): Promise<{ readonly endpoint: string; readonly close: () => Promise<void> }> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        const target = String(request.headers['x-amz-target'])
        this.#respond(target, Buffer.concat(chunks).toString()).then(
          ({ status, text }) =>
            response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(text),
          () => request.destroy(),
        )
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    return {
      endpoint: `http://127.0.0.1:${port}`,
      close: () =>
        new Promise((resolve) => {
          server.close(() => resolve())
          server.closeAllConnections()
        }),
    }
  }

  async #respond(target: string, body: string): Promise<{ readonly status: number; readonly text: string }> {
    const operation = target.split('.')[1] ?? ''
    const input = JSON.parse(body) as Record<string, unknown>
    this.operations.push(operation)
    const fault = this.#faults.find((f) => f.left > 0 && (f.operation === operation || f.operation === '*'))
    if (fault !== undefined) {
      fault.left -= 1
      if (fault.name === 'hangs') return new Promise(() => {})
      if (fault.name === 'lost') this.objects.call(operation, input)
      if (fault.name === 'lost' || fault.name === 'ECONNRESET') {
        throw Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
      }
      return answer(new FakeRefusal(fault.name, `${operation}: ${fault.name}`))
    }
    try {
      const output = this.objects.call(operation, input)
      if (operation === 'PutEvents') await this.firing.events(input)
      return answer(output)
    } catch (error) {
      if (error instanceof FakeRefusal) return answer(error)
      throw error
    }
  }
}

interface FakeRequest {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

function answer(output: object): { readonly status: number; readonly text: string } {
  const refused = output instanceof FakeRefusal
  const body = refused
    ? { __type: `com.amazonaws.eventbridge#${output.name}`, message: output.message }
    : output
  return { status: refused ? output.status : 200, text: JSON.stringify(body) }
}
