/**
 * kill -9 of the server at random moments under merge queues at work: every batch ends as it would have ended, everybody keeps the fence it was
 * told, no two hold at once, and the server granted exactly as often as somebody heard it. `LEASE_KILLS=100` plays longer.
 */
import { expect, it } from 'vitest'
import { startLeaseServer } from '../leases/support/lease-server.ts'
import { MergeQueue } from './lease-merge-queue.ts'

const KILLS = Number(process.env['LEASE_KILLS'] ?? 8)
const PROVIDERS = ['shop', 'bank', 'post', 'zoo']

it(
  'loses no acknowledged grant or release, and grants nothing twice',
  { timeout: 120_000 + KILLS * 20_000 },
  async () => {
    let server = await startLeaseServer({
      providers: PROVIDERS.map((name) => ({ name, expected_request_count: MergeQueue.SIZE })),
    })
    const queues = PROVIDERS.map((name) => new MergeQueue(`${server.url}/acme/${name}/main`, name))
    const playing = Promise.all(queues.map((queue) => queue.play()))
    playing.catch(() => undefined) // awaited below
    let underWay = 0
    for (let kill = 0; kill < KILLS; kill++) {
      await new Promise((wake) => setTimeout(wake, 20 + Math.random() * 400))
      underWay += queues.filter(({ requests }) => requests > 0).length
      server = await server.restart()
    }
    for (const queue of queues) queue.stop()
    await playing
    for (const queue of queues) {
      expect(queue.complaints).toEqual([])
      expect(queue.batches).toBeGreaterThan(0)
      const view = (await (await fetch(queue.url)).json()) as {
        last_fence: number
        known: { status: string }[]
      }
      // As many grants as somebody heard of, and nobody is left but, perhaps, the last success.
      expect(view.last_fence).toBe(queue.grants)
      expect(view.known.filter(({ status }) => status !== 'completed')).toEqual([])
    }
    const sum = (of: 'batches' | 'grants' | 'refused'): number => queues.reduce((all, q) => all + q[of], 0)
    console.log(
      `${KILLS} kills, ${underWay} times with requests of a queue under way: ${sum('batches')} batches, ${sum('grants')} grants, ${sum('refused')} newcomers refused`,
    )
    expect(underWay).toBeGreaterThan(KILLS)
    await server.stop()
  },
)
