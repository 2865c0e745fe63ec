/**
 * Every operation with its answer lost after the commit, then retried, ends in the same state as without the loss: once with
 * the answer lost between store and service, once between service and client.
 */
import { describe, expect, it } from 'vitest'
import { memoryDatabase } from '../drivers/memory/index.ts'
import { seededRandom } from '../kernel/id.ts'
import { ManualClock } from '../kernel/manual-clock.ts'
import { DEFAULT_TTL_MS } from './api.ts'
import { createTurnsService, type TurnsService } from './service.ts'

const Q = 'deploy'
const [A, B, C] = ['member-a', 'member-b', 'member-c']

type Step = (turns: TurnsService, clock: ManualClock) => Promise<unknown>

const join =
  (id: string): Step =>
  (turns) =>
    turns.join(Q, { id })
const operations: Record<
  string,
  { readonly before: readonly Step[]; readonly operation: Step; readonly commits: number }
> = {
  'a join that is granted': { before: [], operation: join(A), commits: 2 },
  'a join that waits': { before: [join(A)], operation: join(B), commits: 1 },
  'a wait that is granted': {
    before: [join(A), join(B), (turns) => turns.leave(Q, A)],
    operation: (turns) => turns.wait(Q, B, {}),
    commits: 1,
  },
  'a beat': { before: [join(A)], operation: (turns) => turns.beat(Q, A, 1), commits: 1 },
  'a release that lets the next one go': {
    before: [join(A), join(B)],
    operation: async (turns, clock) => {
      const waiting = turns.wait(Q, B, { waitMs: 5_000 })
      await clock.settle()
      const outcome = await turns.leave(Q, A, 1)
      return [outcome, (await waiting).state]
    },
    commits: 1,
  },
  'a withdrawal': {
    before: [join(A), join(B), join(C)],
    operation: (turns) => turns.leave(Q, B),
    commits: 1,
  },
  'a return after an eviction from the window': {
    before: [
      join(A),
      join(B),
      async (turns, clock) => {
        for (let i = 0; i < 3; i++) {
          await clock.advance(DEFAULT_TTL_MS / 2)
          await turns.beat(Q, A, 1)
        }
      },
    ],
    operation: (turns) => turns.wait(Q, B, {}),
    commits: 1,
  },
  'a withdrawal before the join arrived': {
    before: [join(A)],
    operation: (turns) => turns.leave(Q, B),
    commits: 1,
  },
}

async function play(
  name: string,
  lose: 'nothing' | 'the store’s answer' | 'the client’s answer',
  nth = 0,
): Promise<{ reply: unknown; records: unknown; lost: number }> {
  const { before, operation } = operations[name]!
  const clock = new ManualClock()
  const store = memoryDatabase().connect({ clock })
  const turns = createTurnsService({ store, clock, random: seededRandom(1) })
  for (const step of before) await finish(clock, step(turns, clock))
  if (lose === 'the store’s answer')
    store.faults.next('commit', ...Array<'none'>(nth).fill('none'), 'lostAfter')
  if (lose === 'the client’s answer') await finish(clock, operation(turns, clock))
  const reply = await finish(clock, operation(turns, clock))
  const lost = store.faults.injected.lostAfter
  await turns.close()
  const records: unknown[] = []
  for (const partition of [
    `signalbox:q:${Q}`,
    `signalbox:w:${Q}`,
    ...[A, B, C].map((id) => `signalbox:m:${Q}:${id}`),
    'signalbox:queues',
  ]) {
    records.push(
      ...(await store.list({ partition }, { limit: 100 })).records.map(({ key, value }) => [
        key,
        withoutTimes(value),
      ]),
    )
  }
  return { reply: withoutTimes(reply), records, lost }
}

async function finish<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  const done = new AbortController()
  const mark = (): void => done.abort()
  promise.then(mark, mark)
  await clock.settle()
  for (let i = 0; i < 20 && !done.signal.aborted; i++) await clock.advance(20)
  return promise
}

/** Times differ by the retry's back-off; nothing else may. */
function withoutTimes(value: unknown): unknown {
  const times = new Set([
    'at',
    'joinedAt',
    'grantedAt',
    'elapsedMs',
    'holdMs',
    'sinceMs',
    'estimatedWaitMs',
    'averageHoldMs',
  ])
  return JSON.parse(JSON.stringify(value, (key, v: unknown) => (times.has(key) ? undefined : v)))
}

describe.each(Object.keys(operations))('%s', (name) => {
  it('ends in the same state when an answer of the store is lost', async () => {
    const plain = await play(name, 'nothing')
    for (let nth = 0; nth < operations[name]!.commits; nth++) {
      const retried = await play(name, 'the store’s answer', nth)
      expect(retried.lost).toBe(1)
      expect(retried.records).toEqual(plain.records)
      expect(retried.reply).toEqual(plain.reply)
    }
  })

  it('ends in the same state when the client asks twice', async () => {
    const plain = await play(name, 'nothing')
    const retried = await play(name, 'the client’s answer')
    expect(retried.records).toEqual(plain.records)
    if (name !== 'a release that lets the next one go') expect(retried.reply).toEqual(plain.reply)
  })
})
