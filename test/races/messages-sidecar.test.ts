/**
 * The sidecar as a process, on an embedded engine of its own, as a guest of a server, and on SQS (fauxqs in this process): its clients know only its address. What is
 * at stake: nothing sent is lost, and nothing acknowledged comes back, however it ends. `test:engines` has the same with
 * ElasticMQ and moto.
 */
import { afterEach, describe, expect, it } from 'vitest'
import { startFauxqsEngine } from '../support/engines/fauxqs.ts'
import { namedSqs } from '../support/engines/sqs.ts'
import { deliveryStories } from '../support/messages/deliveries.ts'
import { endingStories } from '../support/messages/endings.ts'
import { attached, embedded, onSqs, type MessagePlaces } from '../support/messages/places.ts'
import { endSidecars, startSidecar } from '../support/messages/sidecar.ts'
import { signalbox } from '../support/processes.ts'

const engines: Record<string, () => Promise<MessagePlaces>> = {
  'the embedded engine': embedded,
  'the server that owns its data directory': attached,
  SQS: () => onSqs(async () => namedSqs() ?? (await startFauxqsEngine())),
}

describe.concurrent('signalbox sidecar while it runs', () => {
  describe.each(Object.entries(engines))('on %s', (_, open) => deliveryStories(open))
})

describe('signalbox sidecar when something ends', () => {
  describe.each(Object.entries(engines))('on %s', (_, open) => endingStories(open))
})

describe('the command line', () => {
  afterEach(endSidecars)

  it('reaches it by SIGNALBOX_URL and by APP_PORT', async () => {
    const places = await embedded()
    const deadLetter = { queue: 'dead', maxReceives: 1 }
    const { port, url: http, place } = await startSidecar(await places.place({ deadLetter }))
    const at = { grpc: `grpc://127.0.0.1:${port}`, http }
    const run = async (env: Record<string, string>, ...args: string[]): Promise<string> => {
      const running = signalbox(['messages', ...args], { env })
      const code = await running.exited
      if (code !== 0) throw new Error(`${args.join(' ')}: ${running.err()}`)
      return running.out()
    }
    const over = (how: keyof typeof at, ...args: string[]) => run({ SIGNALBOX_URL: at[how] }, ...args)
    const { queue } = place
    await over('grpc', 'send', queue, 'hello', 'you')
    expect(await run({ APP_PORT: String(port) }, 'peek', queue)).toContain('hello')
    expect(await over('http', 'peek', queue)).toContain('you')
    // Received once, and given back: too often for this queue.
    expect(await over('grpc', 'receive', queue, '--max', '10', '--visibility', '0s')).toBe('hello\nyou\n')
    expect(await over('http', 'receive', queue)).toBe('')
    expect(await over('grpc', 'redrive', 'dead', '--dry-run')).toBe('would move 2, would leave 0\n')
    expect(await over('http', 'redrive', 'dead', '--rate', '100')).toBe('moved 2, left 0\n')
    expect(await over('http', 'receive', queue, '--max', '1', '--delete')).toBe('hello\n')
    await expect(over('grpc', 'purge', queue)).rejects.toThrow('--yes')
    await over('grpc', 'purge', queue, '--yes')
    const shown = JSON.parse(await over('http', 'stats', queue, '--json')) as object
    expect(shown).toMatchObject({ visible: 0, inFlight: 0 })
  })
})
