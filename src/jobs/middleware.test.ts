import { describe, expect, it } from 'vitest'
import type { JobContext } from './api.ts'
import { compose, type Middleware } from './middleware.ts'

const context = { job: 'mail', input: 1 } as unknown as JobContext & { readonly input: unknown }

describe('middleware', () => {
  it('sees what the job throws, and may answer instead', async () => {
    const seen: unknown[] = []
    const watch: Middleware = async (_, next) => {
      try {
        return await next()
      } catch (error) {
        seen.push((error as Error).message)
        throw error
      }
    }
    const failing = compose([watch], () => Promise.reject(new Error('no')))
    await expect(failing(context)).rejects.toThrow('no')
    expect(seen).toEqual(['no'])
    const instead = compose([async () => 'instead', watch], () => 'never')
    expect(await instead(context)).toBe('instead')
  })

  it('calls next once', async () => {
    const twice: Middleware = async (_, next) => [await next(), await next()]
    await expect(compose([twice], () => 1)(context)).rejects.toThrow('twice')
  })

  it('without any, is the job itself', () => {
    expect(compose([], ({ input }) => input)(context)).toBe(1)
  })
})
