/**
 * Message queues of a data directory that several processes use: the server, a sidecar beside it, the command line. What is at stake:
 * they all see the same queues, whoever owns the directory, and whoever ends loses nothing.
 */
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import {
  endSidecars,
  newClient,
  numbered,
  send,
  startSidecar,
  stats,
  Stream,
  type Sidecar,
} from '../support/messages/sidecar.ts'
import {
  endProcesses,
  freePort,
  signalbox,
  startServer,
  temporaryFolder,
  until,
  type ServerProcess,
} from '../support/processes.ts'

afterEach(() => {
  endSidecars()
  endProcesses()
})

interface Server extends ServerProcess {
  readonly grpc: string
}

async function serve(place: {
  readonly folder: string
  readonly port?: number
  readonly grpcPort?: number
}): Promise<Server> {
  const grpcPort = place.grpcPort ?? (await freePort())
  const server = await startServer({
    dataDir: join(place.folder, 'data'),
    ...(place.port === undefined ? {} : { port: place.port }),
    args: ['--grpc-port', String(grpcPort)],
    env: { SIGNALBOX_MESSAGES_QUEUES: '{"orders":{"visibility":"1m"}}' },
  })
  return { ...server, grpc: `127.0.0.1:${grpcPort}` }
}

/** The same again, on the same ports. */
async function again({ url, grpc }: Server, folder: string): Promise<Server> {
  return serve({ folder, port: Number(new URL(url).port), grpcPort: Number(grpc.split(':')[1]) })
}

function sidecar(folder: string): Promise<Sidecar> {
  return startSidecar({
    queue: 'orders',
    args: ['--data-dir', join(folder, 'data'), '--grace', '10s'],
    env: {},
  })
}

/** @returns what it printed */
async function messages(folder: string, ...args: string[]): Promise<string> {
  const running = signalbox(['messages', ...args], { cwd: folder })
  const code = await running.exited
  if (code !== 0) throw new Error(`messages ${args.join(' ')}: ${running.err()}`)
  return running.out()
}

describe('serve and a sidecar on one directory', () => {
  it('have the same queues, whoever sends and whoever receives', async () => {
    const folder = temporaryFolder('pair')
    const server = await serve({ folder })
    const beside = await sidecar(folder)
    expect(beside.running.out()).toContain('"mode":"attached"')
    await send(beside.client, numbered(20, 'beside-'))
    await send(newClient(server.grpc), numbered(20, 'grpc-'), 'orders')
    await messages(folder, 'send', 'orders', ...numbered(20, 'cli-'))
    const one = new Stream(beside.client, { credit: 5 })
    const two = new Stream(newClient(server.grpc), { queue: 'orders', credit: 5 })
    one.ackAll()
    two.ackAll()
    await until('all are acked', () => one.acked.length + two.acked.length === 60)
    expect(new Set([...one.bodies, ...two.bodies]).size).toBe(60)
    expect(one.messages.length).toBeGreaterThan(0)
    expect(two.messages.length).toBeGreaterThan(0)
    expect(await messages(folder, 'stats', 'orders', '--json')).toContain('"visible":0,"inFlight":0')
  })

  it('the sidecar that was there first owns it, and serves the command line', async () => {
    const folder = temporaryFolder('sidecar-first')
    const first = await sidecar(folder)
    expect(first.running.out()).toContain('"mode":"owner"')
    await messages(folder, 'send', 'orders', 'hello')
    const stream = new Stream(first.client)
    await until('it arrives', () => stream.bodies.has('hello'))
    const second = await sidecar(folder)
    expect(second.running.out()).toContain('"mode":"attached"')
    const server = signalbox(['serve', '--port', '0', '--data-dir', join(folder, 'data')])
    expect(await server.exited).not.toBe(0)
    expect(server.err()).toMatch(
      /is owned by process \d+ \(signalbox sidecar\); stop it, and start it again after the server/,
    )
  })

  it('an attached sidecar goes on when its owner is killed and started again: what was sent is delivered', async () => {
    const folder = temporaryFolder('restart')
    let server = await serve({ folder })
    const beside = await sidecar(folder)
    const stream = new Stream(beside.client, { credit: 20, visibilityMs: 2_000 })
    stream.ackAll()
    const sent: string[] = []
    const stopped = new AbortController()
    const sending = (async () => {
      for (let i = 0; !stopped.signal.aborted; i++) {
        const body = `m${i}`
        const ok = await send(beside.client, [body]).then(
          () => true,
          () => false, // maybe sent, maybe not: nobody was told that it was
        )
        if (ok) sent.push(body)
        else await new Promise((later) => setTimeout(later, 20))
      }
    })()
    for (let round = 0; round < 3; round++) {
      const enough = sent.length + 50
      await until('work goes on', () => sent.length >= enough && stream.bodies.size >= enough - 50)
      server.running.kill('SIGKILL')
      await server.running.exited
      server = await again(server, folder)
    }
    const last = sent.length + 50
    await until('work goes on after the last restart', () => sent.length >= last)
    stopped.abort()
    await sending
    await until('all that was sent has been delivered', () => sent.every((body) => stream.bodies.has(body)))
    await until('nothing is left', async () => {
      const { visible, inFlight } = await stats(beside.client)
      return visible + inFlight === 0
    })
    expect(beside.running.child.exitCode).toBeNull()
  })

  it('SIGTERM of the owner while the sidecar’s clients hold messages: they settle them at its successor', async () => {
    const folder = temporaryFolder('hand-over')
    const server = await serve({ folder })
    const beside = await sidecar(folder)
    await send(beside.client, numbered(50))
    const stream = new Stream(beside.client, { credit: 50, visibilityMs: 60_000 })
    await until('all are held', () => stream.messages.length === 50)
    await server.stop()
    await again(server, folder)
    stream.ackAll()
    await until('all are acked', () => stream.acked.length === 50)
    expect(stream.messages).toHaveLength(50)
    expect(await stats(beside.client)).toMatchObject({ visible: 0, inFlight: 0 })
  })
})

describe('SIGTERM of serve', () => {
  it('with messages in flight over gRPC: they can be settled, the rest goes back, nothing is lost', async () => {
    const folder = temporaryFolder('sigterm')
    const server = await serve({ folder })
    const client = newClient(server.grpc)
    await send(client, numbered(300), 'orders')
    const stream = new Stream(client, { queue: 'orders', credit: 200 })
    await until('200 are in flight', () => stream.messages.length === 200)
    const stopped = server.stop()
    await until('it says that it stops', () => stream.draining)
    const ids = stream.messages.map(({ id }) => id)
    stream.say({ ack: ids.slice(0, 150) })
    await until('150 are acked', () => stream.acked.length === 150)
    stream.raw.end() // the rest goes back
    await stopped
    expect(await server.running.exited).toBe(0)
    const next = await again(server, folder)
    const left = JSON.parse(await messages(folder, 'stats', 'orders', '--json')) as object
    expect(left).toMatchObject({ visible: 150, inFlight: 0 })
    await next.stop()
  })
})
