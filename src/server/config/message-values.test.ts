import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig, type Environment, type LoadedConfig } from './load.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'signalbox-config-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

function load(text: string, env: Environment = {}): Promise<LoadedConfig> {
  writeFileSync(join(cwd, 'signalbox.yaml'), text)
  return loadConfig({ cwd, env })
}

async function problems(text: string, env: Environment = {}): Promise<string[]> {
  const error = await load(text, env).then(
    () => new Error('it was accepted'),
    (thrown: unknown) => thrown as Error,
  )
  return error.message.split('\n')
}

const queues = (...lines: string[]): string =>
  ['messages:', '  queues:', ...lines.map((line) => `    ${line}`), ''].join('\n')

describe('messages.queues', () => {
  it('is a section with an entry for each queue, also an empty one', async () => {
    const text = queues(
      'orders:',
      '  visibility: 2m',
      '  delay: 1s',
      '  retention: 1d',
      '  deadLetter: { queue: orders-dead, maxReceives: 5 }',
      'plain:',
      'mail.fifo: { contentDeduplication: true }',
    )
    expect((await load(text)).config.messages.queues).toEqual({
      orders: {
        visibility: { ms: 120_000 },
        delay: { ms: 1_000 },
        retention: { ms: 86_400_000 },
        deadLetter: { queue: 'orders-dead', maxReceives: 5 },
      },
      plain: {},
      'mail.fifo': { contentDeduplication: true },
    })
  })

  it('may come as JSON from the environment', async () => {
    const { config } = await load('{}', {
      SIGNALBOX_MESSAGES_QUEUES: '{"orders":{"visibility":"90s"},"b":{}}',
    })
    expect(config.messages.queues).toEqual({ orders: { visibility: { ms: 90_000 } }, b: {} })
  })

  it.each([
    ['orders: { visibility: soon }', ".orders.visibility: 'soon' is not a duration; write for example 30s"],
    ['orders: { visibility: 13h }', ".orders.visibility: '13h' is not a duration"],
    ['orders: { delay: 16m }', ".orders.delay: '16m' is not a duration"],
    ['orders: { retention: 1s }', ".orders.retention: '1s' is not a duration"],
    [
      'orders: { deadLetter: { queue: b, maxReceives: 0 } }',
      '.orders.deadLetter.maxReceives: 0 is not a whole number',
    ],
    [
      'orders: { deadLetter: { queue: b.fifo, maxReceives: 1 } }',
      ".orders.deadLetter.queue: 'b.fifo' is not of the same kind",
    ],
    [
      'orders: { deadLetter: { queue: orders, maxReceives: 1 } }',
      ".orders.deadLetter.queue: 'orders' leads back",
    ],
    ['orders: { contentDeduplication: true }', '.orders.contentDeduplication: true is for FIFO queues'],
    ['orders: { visiblity: 1s }', '.orders: '],
    ['"a b": {}', ".a b: 'a b' is not a queue name"],
    ['orders: 5', '.orders: 5 is not a section of message queues'],
  ])('that cannot work is refused with its line: %s', async (line, problem) => {
    const [first = ''] = await problems(queues('fine: {}', line))
    expect(first).toContain(`signalbox.yaml:4: messages.queues${problem}`)
  })

  it('refuses dead-letter queues that go round in a circle, and none that lead into one', async () => {
    const dead = (queue: string): string => `{ deadLetter: { queue: ${queue}, maxReceives: 1 } }`
    const found = await problems(queues(`a: ${dead('b')}`, `b: ${dead('c')}`, `c: ${dead('b')}`))
    expect(found.map((line) => line.split(': ', 2).join(': '))).toEqual([
      'signalbox.yaml:4: messages.queues.b.deadLetter.queue',
      'signalbox.yaml:5: messages.queues.c.deadLetter.queue',
    ])
  })
})

describe('messages.sqs', () => {
  it('takes its endpoint from the variable of the tools, if SQS was chosen', async () => {
    const env = { AWS_SQS_ENDPOINT_URL: 'http://127.0.0.1:9324' }
    expect((await load('messages: { engine: sqs }', env)).config.messages.sqs.endpoint).toBe(
      'http://127.0.0.1:9324',
    )
    expect((await load('{}', { AWS_SQS_ENDPOINT_URL: 'x' })).config.messages.sqs.endpoint).toBeUndefined()
    const [first] = await problems('messages: { engine: sqs }', { AWS_SQS_ENDPOINT_URL: 'x' })
    expect(first).toContain("AWS_SQS_ENDPOINT_URL: messages.sqs.endpoint: 'x' is not a URL")
  })
})

describe('server.grpcPort', () => {
  it.each(['auto', 'off', 0, 50_052])('may be %s', async (port) => {
    expect((await load(`server: { grpcPort: ${port} }`)).config.server.grpcPort).toBe(String(port))
  })

  it.each(['on', -1, 65_536, 1.5])('may not be %s', async (port) => {
    expect((await problems(`server: { grpcPort: ${port} }`))[0]).toContain(
      'is not a gRPC port; write a number from 0 to 65535, auto or off',
    )
  })
})
