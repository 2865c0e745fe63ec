import { describe, expect, it, onTestFinished } from 'vitest'
import { appWorld, type AuthWorldOptions } from './testing/world.ts'

/** What a call without a good credential is asked for. */
async function challenge(options: AuthWorldOptions, headers: Record<string, string> = {}): Promise<unknown> {
  const world = await appWorld(options)
  onTestFinished(() => world.close())
  const response = await world.app.inject({ url: '/api/v1/turns', headers })
  return [response.statusCode, response.headers['www-authenticate']]
}

const both = [401, 'Bearer, Basic realm="signalbox"']
const basicUsers = { ci: 's3cret' }
const wrong = { authorization: `Basic ${Buffer.from('ci:wrong').toString('base64')}` }

describe('a refusal', () => {
  it('asks for a token or a password where there are users', async () => {
    expect(await challenge({ basicUsers })).toEqual(both)
    expect(await challenge({ basicUsers }, wrong)).toEqual(both)
    expect(await challenge({ basicUsers }, { 'sec-fetch-mode': 'navigate' })).toEqual(both)
  })

  it('asks for a token alone where there are none', async () => {
    expect(await challenge({})).toEqual([401, 'Bearer'])
    expect(await challenge({}, wrong)).toEqual([401, 'Bearer'])
  })

  it('does not make a browser ask its user for a password behind a page', async () => {
    expect(await challenge({ basicUsers }, { 'sec-fetch-mode': 'cors' })).toEqual([401, 'Bearer'])
  })
})
