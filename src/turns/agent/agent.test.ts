import { beforeEach, expect, test } from 'vitest'
import { seededRandom } from '../../kernel/id.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import { member, ScriptedTurns } from '../testing/scripted-turns.ts'
import { Agent, type AgentOptions } from './agent.ts'
import type { AgentEnd, AgentProgress } from './state.ts'

const TTL_MS = 6_000
let clock: ManualClock
let api: ScriptedTurns
let changes: AgentProgress[]
let fronts: boolean[]

beforeEach(() => {
  clock = new ManualClock()
  api = new ScriptedTurns(clock)
  changes = []
  fronts = []
})

const holding = member({ state: 'holding', fence: 7, position: 0, ttlMs: TTL_MS })
const waiting = member({ ttlMs: TTL_MS, position: 2 })

function begin(options: Partial<AgentOptions> = {}): Agent {
  const agent = new Agent({
    api,
    clock,
    random: seededRandom(1),
    queue: 'deploy',
    ttlMs: TTL_MS,
    stopGraceMs: 1_000,
    maxHoldMs: 60_000,
    onChange: (change) => changes.push(change),
    ...options,
  })
  agent.onFront((isFront) => fronts.push(isFront))
  return agent
}

function endOf(agent: Agent): { value?: AgentEnd } {
  const seen: { value?: AgentEnd } = {}
  void agent.ended.then((end) => (seen.value = end))
  return seen
}

test('it has joined when it is told its position, and is at the front when it holds', async () => {
  api.on('join', api.answer(waiting)).on('wait', api.answer(holding, 3_000))
  const agent = begin()
  await agent.joined
  expect(agent.isFront()).toBe(false)
  expect(changes.at(-1)).toMatchObject({ state: 'waiting', ticket: 12, view: { position: 2 } })
  await clock.advance(3_000)
  expect(agent.isFront()).toBe(true)
  expect(fronts).toEqual([true])
  expect(changes.at(-1)).toMatchObject({ state: 'holding', fence: 7, waitedMs: 3_000, view: undefined })
})

test('it keeps the turn by beats and publishes each new deadline', async () => {
  const agent = begin()
  await agent.joined
  const first = changes.at(-1)?.heldUntil?.at ?? 0
  await clock.advance(5 * TTL_MS)
  expect(agent.isFront()).toBe(true)
  expect(changes.at(-1)?.heldUntil?.at).toBeGreaterThan(first + 4 * TTL_MS)
})

test('stop tells followers first, then releases, and settles when the server has answered', async () => {
  api.on('leave', api.answer({ outcome: 'released' }, 500))
  const agent = begin()
  await agent.joined
  const end = endOf(agent)
  void agent.stop()
  await clock.settle()
  expect(fronts).toEqual([true, false])
  expect(agent.isFront()).toBe(false)
  expect(end.value).toBeUndefined()
  await clock.advance(500)
  expect(end.value).toMatchObject({ why: 'asked', place: 'released' })
  expect(await agent.stop()).toBe(end.value)
  expect(api.times('leave')).toHaveLength(1)
})

test('stop while waiting withdraws', async () => {
  api.on('join', api.answer(waiting)).on('leave', api.answer({ outcome: 'withdrawn' }))
  const agent = begin()
  await agent.joined
  expect(await agent.stop()).toMatchObject({ why: 'asked', place: 'withdrawn' })
  expect(fronts).toEqual([])
})

test.each([
  ['waiting', waiting],
  ['holding', holding],
])(
  'a server that is away while it stops %s is told for a whole TTL, then the end says so',
  async (_, view) => {
    api.on('join', api.answer(view)).on('leave', api.fail('unavailable'))
    const agent = begin()
    await agent.joined
    const end = endOf(agent)
    void agent.stop()
    await clock.advance(TTL_MS - 1_000)
    expect(end.value).toBeUndefined()
    await clock.advance(TTL_MS)
    expect(end.value).toMatchObject({ why: 'asked', place: 'unconfirmed' })
    expect(end.value?.message).toContain('lapses within 6s')
  },
)

test('a server that comes back while it stops is told', async () => {
  api.on('join', api.answer(waiting))
  api.on(
    'leave',
    ...Array.from({ length: 4 }, () => api.fail('unavailable', 1_200)),
    api.answer({ outcome: 'withdrawn' }),
  )
  const agent = begin()
  await agent.joined
  const end = endOf(agent)
  void agent.stop()
  await clock.advance(2 * TTL_MS)
  expect(end.value).toMatchObject({ why: 'asked', place: 'withdrawn' })
})

test('a refused release is no release', async () => {
  api.on('leave', api.fail('unauthenticated'))
  const agent = begin()
  await agent.joined
  expect(await agent.stop()).toMatchObject({ why: 'asked', place: 'unconfirmed' })
})

test('the longest hold counts from the grant and gives the turn back', async () => {
  api.on('join', api.answer(waiting)).on('wait', api.answer(holding, 10_000))
  const agent = begin({ maxHoldMs: 10_000 })
  const end = endOf(agent)
  await clock.advance(10_000 + 9_999)
  expect(end.value).toBeUndefined()
  await clock.advance(1)
  expect(end.value).toMatchObject({ why: 'max_hold', place: 'released' })
})

test.each([
  ['waiting', waiting],
  ['holding', holding],
])('it leaves within two seconds of the end of the process it works for, %s', async (_, view) => {
  let wanted = true
  api.on('join', api.answer(view))
  const agent = begin({ isWanted: () => wanted })
  const end = endOf(agent)
  await clock.advance(5_000)
  expect(end.value).toBeUndefined()
  wanted = false
  await clock.advance(2_000)
  expect(end.value).toMatchObject({ why: 'process_gone' })
  expect(api.times('leave')).toHaveLength(1)
})

test('a turn that is lost ends it: followers hear it, nothing is released, nothing is joined again', async () => {
  api.on('beat', api.fail('turn_lost'))
  const agent = begin()
  const end = endOf(agent)
  await clock.advance(TTL_MS)
  expect(end.value).toMatchObject({ why: 'lost' })
  expect(end.value?.message).toContain('the turn was lost')
  expect(fronts).toEqual([true, false])
  expect([api.times('join').length, api.times('leave').length]).toEqual([1, 0])
})

test('it is not at the front once its own deadline has passed', async () => {
  api.on('beat', api.fail('unavailable'))
  const agent = begin()
  await agent.joined
  await clock.advance(TTL_MS / 2)
  expect(agent.isFront()).toBe(true)
  expect(changes.at(-1)?.trouble?.message).toContain('scripted unavailable')
  await clock.advance(TTL_MS / 2)
  expect(agent.isFront()).toBe(false)
  expect(await agent.ended).toMatchObject({ why: 'lost' })
})

test('one evicted while it waits has lost its turn', async () => {
  api.on('join', api.answer(waiting)).on('wait', api.answer(member({ state: 'left' })))
  const agent = begin()
  await agent.joined
  expect(await agent.ended).toMatchObject({ why: 'lost' })
})

test('what keeps it from joining is thrown, at once', async () => {
  api.on('join', api.fail('conflict'))
  const agent = begin()
  await expect(agent.joined).rejects.toMatchObject({ code: 'conflict' })
  expect(await agent.ended).toMatchObject({ why: 'failed', place: 'gone' })
})

test('an unreachable server is given up after the connect time-out, not after the TTL', async () => {
  api.on('join', api.fail('unavailable'))
  const agent = begin({ ttlMs: 60_000, stopGraceMs: 5_000 })
  const end = endOf(agent)
  await clock.advance(8_000)
  expect(end.value).toMatchObject({ why: 'failed', place: 'gone' })
  await expect(agent.joined).rejects.toMatchObject({ code: 'unavailable' })
})

test('trouble while waiting is published and taken back', async () => {
  api.on('join', api.answer(waiting)).on('wait', api.fail('unavailable'), api.answer(waiting), api.hang())
  begin()
  await clock.advance(5_000)
  expect(changes.map(({ trouble }) => trouble?.message)).toContain('scripted unavailable')
  expect(changes.at(-1)?.trouble).toBeUndefined()
})
