import { describe, expect, it } from 'vitest'
import { memoryDatabase } from '../drivers/memory/index.ts'
import { SignalboxError, type ErrorCode } from '../kernel/error.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { decimalKey, type Key } from '../ports/store.ts'
import { withoutRefusals } from './refused-store.ts'

const key: Key = ['p', decimalKey(1)]

function refusing(): {
  store: ReturnType<typeof withoutRefusals>
  says: (code?: ErrorCode) => void
  log: string[]
} {
  const inner = memoryDatabase().connect({ clock: new ManualClock(), random: seededRandom(1) })
  let code: ErrorCode | undefined
  const log: string[] = []
  const found = inner.get.bind(inner)
  const get: typeof inner.get = async (at) => {
    if (code !== undefined) throw new SignalboxError(code, 'arn:aws:iam::123456789012:role/x may not')
    return found(at)
  }
  const logger = {
    error: (_facts: object, text: string) => void log.push(text),
    info: (text: string) => void log.push(text),
  }
  inner.get = get
  const store = withoutRefusals(inner, logger as never) // oxlint-disable-line typescript/no-unsafe-type-assertion -- two of pino's many methods
  return { store, says: (next) => (code = next), log }
}

describe('a store that refuses this server', () => {
  it.each(['unauthenticated', 'permission_denied', 'not_found', 'config_invalid'] as const)(
    'with %s is no refusal of the caller',
    async (code) => {
      const { store, says } = refusing()
      says(code)
      const thrown: unknown = await store.get(key).catch((error: unknown) => error)
      expect(thrown).toMatchObject({ code: 'unavailable' })
      expect((thrown as Error).message).not.toContain('arn')
    },
  )

  it('is logged once, and so is the end of it', async () => {
    const { store, says, log } = refusing()
    expect(await store.get(key)).toBeUndefined()
    says('permission_denied')
    for (let i = 0; i < 3; i++) await expect(store.get(key)).rejects.toThrow('its log says why')
    says()
    await store.get(key)
    await store.get(key)
    expect(log).toEqual(['the store refuses this server', 'the store accepts this server again'])
  })

  it('passes on what is the caller’s to know', async () => {
    const { store, says, log } = refusing()
    says('throttled')
    await expect(store.get(key)).rejects.toMatchObject({ code: 'throttled' })
    expect(log).toEqual([])
  })
})
