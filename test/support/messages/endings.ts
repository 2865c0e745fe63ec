/** Clients that go, and sidecars that stop or are killed, on whatever engine: nothing is lost by it. */
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { root, run, until, type Running } from '../processes.ts'
import type { MessagePlaces } from './places.ts'
import { endSidecars, numbered, send, started, startSidecar, stats, Stream, type Sidecar } from './sidecar.ts'

function leavingClient(port: number, what: 'receive' | 'consume', count: number): Running {
  const script = join(root, 'test/races/fixtures/messages-leaving-client.ts')
  return started(run(process.execPath, [script, String(port), what, String(count)]))
}

/** The whole lines it told. */
function told(client: Running): readonly { readonly answered?: string[]; readonly held?: number }[] {
  const lines = client.out().split('\n').slice(0, -1)
  return lines.map((line) => JSON.parse(line) as { answered?: string[] })
}

/** Messages that went out with answers, as the sidecar counts them. */
async function withClients({ url }: Sidecar): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  return Number(/^signalbox_messages_in_flight (\d+)$/m.exec(text)?.[1])
}

/** On time it takes some 50 ms. */
const VISIBLE_MS = 1_000

export function endingStories(open: () => Promise<MessagePlaces>): void {
  let places: MessagePlaces
  beforeAll(async () => {
    places = await open()
  })
  afterEach(endSidecars)
  afterAll(() => places.stop())

  it('a hundred receives cancelled while their messages are on the way: no message is hidden for nobody', async () => {
    const sidecar = await startSidecar(await places.place())
    const clients = Array.from({ length: 4 }, () => leavingClient(sidecar.port, 'receive', 25))
    await until('all wait', () => clients.every((client) => told(client).length === 1))
    await stats(sidecar.client) // the first call of a client takes its time
    for (const { child } of clients) child.stdin?.write('go\n')
    for (let i = 0; i < 10; i++) await send(sidecar.client, numbered(10, `b${i}-`))
    await until('all have left', () => clients.every((client) => told(client).length === 2))
    const answered = clients.flatMap((client) => told(client)[1]?.answered ?? [])
    let gone = 0
    await until(
      'the others are visible',
      async () => {
        gone = await withClients(sidecar)
        const { visible, inFlight } = await stats(sidecar.client)
        return visible === 100 - gone && inFlight === gone
      },
      VISIBLE_MS,
    )
    // A cancellation that crosses its answer comes too late: that message is the client's.
    expect(gone).toBeGreaterThanOrEqual(answered.length)
    expect(gone - answered.length).toBeLessThan(50)
  })

  it('clients killed while they wait take no message with them', async () => {
    const sidecar = await startSidecar(await places.place())
    const client = leavingClient(sidecar.port, 'receive', 100)
    await until('it waits', () => told(client).length === 1)
    client.kill('SIGKILL')
    await client.exited
    await send(sidecar.client, numbered(100))
    await until('all are visible', async () => (await stats(sidecar.client)).visible === 100, VISIBLE_MS)
  })

  it('a client killed with a hundred messages in its hands: all are visible again at once', async () => {
    const sidecar = await startSidecar(await places.place())
    await send(sidecar.client, numbered(100))
    const client = leavingClient(sidecar.port, 'consume', 100)
    await until('it holds them', () => told(client).at(-1)?.held === 100)
    client.kill('SIGKILL')
    await client.exited
    await until('all are visible', async () => (await stats(sidecar.client)).visible === 100, VISIBLE_MS)
  })

  it('SIGTERM with 200 in flight: they can be settled, the rest goes back, nothing is lost, exit 0', async () => {
    const sidecar = await startSidecar(await places.place(), ['--grace', '30s'])
    await send(sidecar.client, numbered(220))
    const stream = new Stream(sidecar.client, { credit: 200, visibilityMs: 60_000 })
    await until('200 are in flight', () => stream.messages.length === 200)
    sidecar.running.kill('SIGTERM')
    await until('it says so', () => stream.draining)
    expect((await fetch(`${sidecar.url}/readyz`)).status).toBe(503)
    const held = [...stream.messages]
    stream.say({ ack: held.slice(0, 150).map(({ id }) => id) })
    await until('150 are acked', () => stream.acked.length === 150)
    stream.say({ nack: held.slice(150).map(({ id }) => ({ deliveryId: id, delayMs: 0 })) })
    expect(await sidecar.running.exited).toBe(0)
    const again = await startSidecar(sidecar.place, [], sidecar)
    const rest = new Stream(again.client, { credit: 100 })
    await until('the rest comes', () => rest.messages.length === 70)
    const done = new Set(held.slice(0, 150).map(({ body }) => body))
    expect(rest.bodies).toEqual(new Set(numbered(220).filter((body) => !done.has(body))))
  })

  it('SIGTERM, and nobody settles: it ends when the grace is over, and all 200 come again', async () => {
    const sidecar = await startSidecar(await places.place(), ['--grace', '1s'])
    await send(sidecar.client, numbered(200))
    const stream = new Stream(sidecar.client, { credit: 200, visibilityMs: 60_000 })
    await until('200 are in flight', () => stream.messages.length === 200)
    sidecar.running.kill('SIGTERM')
    const since = performance.now()
    expect(await sidecar.running.exited).toBe(0)
    // The grace, a second of farewells, and the machine's slowness.
    expect(performance.now() - since).toBeLessThan(15_000)
    const again = await startSidecar(sidecar.place, [], sidecar)
    const rest = new Stream(again.client, { credit: 200 })
    await until('all come again', () => rest.bodies.size === 200, 20_000)
  })

  it('kill -9 under load: every message sent is delivered, none that was acked comes back', async () => {
    let sidecar = await startSidecar(await places.place())
    const account = new Account()
    for (let round = 0; round < 3; round++) {
      await loadAndKill(sidecar, account, round)
      sidecar = await startSidecar(sidecar.place, [], sidecar)
    }
    const rest = new Stream(sidecar.client, { credit: 100, visibilityMs: 60_000 })
    account.listen(rest)
    await until('all that was sent has come', () =>
      [...account.sent].every((body) => account.delivered.has(body)),
    )
    if (places.exactlyDeleted) expect(account.returned).toEqual([])
    expect(account.sent.size).toBeGreaterThan(100)
    expect(account.acked.size).toBeGreaterThan(100)
  })
}

/** What the clients know, by body. */
class Account {
  readonly sent = new Set<string>()
  readonly delivered = new Set<string>()
  readonly acked = new Set<string>()
  readonly returned: string[] = []

  /** Acks whatever comes. */
  listen(stream: Stream): void {
    const named = new Map<number, string>()
    stream.onFrame = ({ messages, acked }) => {
      for (const { deliveryId, message } of messages) {
        const body = message?.body ?? ''
        named.set(deliveryId, body)
        this.delivered.add(body)
        if (this.acked.has(body)) this.returned.push(body)
      }
      for (const id of acked) this.acked.add(named.get(id) ?? '')
      if (messages.length > 0) stream.say({ ack: messages.map(({ deliveryId }) => deliveryId) })
    }
  }
}

async function loadAndKill(sidecar: Sidecar, account: Account, round: number): Promise<void> {
  account.listen(new Stream(sidecar.client, { credit: 50, visibilityMs: 2_000 }))
  const stopped = new AbortController()
  const load = (async () => {
    for (let i = 0; !stopped.signal.aborted; i++) {
      const bodies = numbered(4, `r${round}-${i}-`)
      const sent = await send(sidecar.client, bodies).catch(() => [])
      // Calls to a process that is gone fail without giving way to anything else.
      if (sent.length === 0) await new Promise((later) => setTimeout(later, 10))
      else for (const body of bodies) account.sent.add(body)
    }
  })()
  const enough = account.acked.size + 100
  await until('work is done', () => account.acked.size >= enough)
  await new Promise((later) => setTimeout(later, Math.random() * 100))
  sidecar.running.kill('SIGKILL')
  await sidecar.running.exited
  stopped.abort()
  await load
}
