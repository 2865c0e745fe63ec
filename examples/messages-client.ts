/**
 * A container's client of the sidecar: polls, logs, deletes. It knows nothing but the sidecar's port and the proto file.
 *
 *   npx signalbox sidecar --queue orders &
 *   APP_PORT=50051 npx signalbox messages send orders hello
 *   node examples/messages-client.ts
 *
 * Environment: SQSSERVICEPORT (50051); POLLINGINTERVAL, VISIBILITYTIMEOUT, WAITTIME (seconds) and MAXIMUMMESSAGES, 5 each;
 * ERRORRATELIMIT (10): it gives up after so many errors in a row. LOGBODIES=1 shows bodies and handles.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { credentials, loadPackageDefinition, type Client, type ServiceError } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

interface Message {
  readonly messageID: string
  readonly messageBody: string
}
type Done<A> = (error: ServiceError | null, answer: A) => void
type SqsClient = Client & {
  ReceiveMessage(request: object, done: Done<{ messages: Message[] }>): void
  DeleteMessage(request: object, done: Done<object>): void
}

const number = (name: string, otherwise: number): number => Number(process.env[name] ?? otherwise)
const port = number('SQSSERVICEPORT', 50_051)
const interval = number('POLLINGINTERVAL', 5)
const errorLimit = number('ERRORRATELIMIT', 10)
const request = {
  visibility_timeout: number('VISIBILITYTIMEOUT', 5),
  wait_time: number('WAITTIME', 5),
  maximum_number_of_messages: number('MAXIMUMMESSAGES', 5),
}

const stop = new AbortController()
process.once('SIGTERM', () => stop.abort())
process.once('SIGINT', () => stop.abort())

const proto = join(import.meta.dirname, '../proto/sqs/sqs_service.proto')
const definition = loadSync(proto, { keepCase: true, longs: Number, defaults: true })
const { sqs } = loadPackageDefinition(definition) as unknown as {
  sqs: { SQSService: new (address: string, options: object) => SqsClient }
}
const client = new sqs.SQSService(`127.0.0.1:${port}`, credentials.createInsecure())

function log(
  level: 'info' | 'error',
  message: string,
  facts: object = { package: 'client', function: 'Run' },
) {
  const line = { level, ...facts, time: new Date().toISOString(), message }
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

function shown(text: string): string {
  return process.env['LOGBODIES'] === '1' ? text : '********'
}

function answerOf<A>(call: (done: Done<A>) => void): Promise<A> {
  return new Promise((done, failed) => {
    call((error, answer) => (error === null ? done(answer) : failed(error)))
  })
}

async function poll(): Promise<void> {
  const { messages } = await answerOf<{ messages: Message[] }>((done) => client.ReceiveMessage(request, done))
  log('info', `Received ${messages.length} message(s)`)
  for (const { messageID, messageBody } of messages) {
    log('info', `Deleting message messageID:"${shown(messageID)}" messageBody:"${shown(messageBody)}"`)
    await answerOf((done) => client.DeleteMessage({ messageID }, done))
    log('info', `Message deleted successfully: ${shown(messageID)}`)
  }
}

log('info', 'Client starting', {})
let errors = 0
for (let count = 1; !stop.signal.aborted && errors < errorLimit; count++) {
  log('info', `Polling count: ${count}`)
  try {
    await poll()
    errors = 0
  } catch (error) {
    errors += 1
    log('error', (error as Error).message)
  }
  await sleep(interval * 1_000, undefined, { signal: stop.signal }).catch(() => undefined)
}
client.close()
if (errors >= errorLimit) {
  log('error', `Giving up after ${errors} errors in a row`)
  process.exitCode = 1
}
