/**
 * Restarting servers under a hundred clients that poll: behind a load balancer nobody notices; a single server is away for a
 * moment, and answers whatever it has accepted.
 */
import { afterAll, expect, it } from 'vitest'
import { startBalancer } from '../support/balancer.ts'
import { callLease, carefulCaller, keepingConnections, UNANSWERED } from '../support/lease-caller.ts'
import { judgeLeases, startLeaseLoad, type LeaseLoad, type LeaseLoadOptions } from '../support/lease-load.ts'
import { endProcesses, startServer, until } from '../support/processes.ts'
import { startReplica } from '../support/replicas.ts'
import { openArena } from './serverless/place.ts'

afterAll(endProcesses)

const CLIENTS = 100
/** Half a minute each where nothing else runs. */
const slow = { timeout: 600_000 }
const provider = { owner: 'acme', name: 'shop', base_ref: 'main' }
const timing = { stabilize_duration_seconds: 1, expected_request_count: 4, ttl_seconds: 60 }
const env = { SIGNALBOX_REPOSITORIES: JSON.stringify([{ ...provider, ...timing }]) }

function poll(send: LeaseLoadOptions['send'], signal: AbortSignal): LeaseLoad {
  return startLeaseLoad({
    provider: 'acme/shop/main',
    clients: CLIENTS,
    pollMs: 500,
    random: Math.random,
    signal,
    send,
  })
}

const grantsOf = (load: LeaseLoad): number => load.events.filter(({ kind }) => kind === 'acquired').length

it(
  'two servers behind a balancer, one after the other: nobody is refused, nothing is lost',
  slow,
  async () => {
    const arena = await openArena('DynamoDB')
    // A hundred times what the balancer needs to notice.
    const draining = { ...env, SIGNALBOX_SERVER_DRAIN_DELAY: '10s' }
    const servers = await Promise.all([0, 1].map(() => startReplica(arena.place, { env: draining })))
    const ports = servers.map(({ url }) => Number(new URL(url).port))
    const balancer = await startBalancer(ports)
    await until('the balancer has found both', () => balancer.ready().length === 2)

    const stop = new AbortController()
    const connections = keepingConnections(1_000)
    const load = poll((call) => callLease(balancer.url, call, connections), stop.signal)
    for (const [index, port] of ports.entries()) {
      const before = grantsOf(load)
      await until('leases are granted', () => grantsOf(load) > before)
      const { running } = servers[index]!
      running.kill('SIGTERM')
      expect(await running.exited).toBe(0)
      const without = grantsOf(load)
      await until('leases are granted by the other one', () => grantsOf(load) > without)
      servers[index] = await startReplica(arena.place, { port, env: draining })
      await until('the balancer has found it again', () => balancer.ready().length === 2)
    }
    stop.abort()
    await load.done
    expect([...load.failures]).toEqual([])
    expect([balancer.refused(), load.refusals()]).toEqual([0, 0])
    expect(load.complaints).toEqual([])
    expect(judgeLeases(load.events).complaints).toEqual([])

    await connections.close()
    await balancer.close()
    await Promise.all(servers.map((server) => server.stop()))
    await arena.close()
  },
)

it(
  'a single server: what it has accepted is answered, in JSON, and leases go on afterwards',
  slow,
  async () => {
    let server = await startServer({ env })
    const { url, dataDir } = server
    const stop = new AbortController()
    const caller = carefulCaller(url, 200)
    const load = poll(caller.call, stop.signal)
    for (let restart = 0; restart < 2; restart++) {
      const before = grantsOf(load)
      await until('leases are granted', () => grantsOf(load) > before + 1)
      server.running.kill('SIGTERM')
      expect(await server.running.exited).toBe(0)
      server = await startServer({ env, dataDir, port: Number(new URL(url).port) })
    }
    stop.abort()
    await load.done
    caller.close()
    await server.stop()
    expect(load.failures.get('ECONNREFUSED')).toBeGreaterThan(0)
    expect(load.failures.get(UNANSWERED)).toBeUndefined()
    expect(load.complaints).toEqual([])
    expect(judgeLeases(load.events).complaints).toEqual([])
  },
)
