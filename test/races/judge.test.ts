/** The judge is judged: it must complain about what it is there for. */
import { expect, it } from 'vitest'
import { judge, type RaceEvent } from './judge.ts'

const turn = (member: string, ticket: number, fence: number, from: number, to: number): RaceEvent[] => [
  { kind: 'in', member, at: from, ticket, fence },
  { kind: 'out', member, at: to, ticket, fence },
]
const good = [...turn('a', 1, 1, 0, 10), ...turn('b', 2, 2, 11, 20), ...turn('c', 3, 3, 21, 30)]

it('has no complaint about turns taken in order', () => {
  expect(judge(good, 1)).toEqual({ members: 3, grants: 3, mostAtWork: 1, complaints: [] })
})

it.each([
  ['two at work at once', [...turn('a', 1, 1, 0, 10), ...turn('b', 2, 2, 9, 20)], 'at work at once'],
  ['a fence given twice', [...turn('a', 1, 1, 0, 10), ...turn('b', 2, 1, 11, 20)], 'fence was given twice'],
  ['a ticket given twice', [...turn('a', 1, 1, 0, 10), ...turn('b', 1, 2, 11, 20)], 'same ticket'],
  [
    'a member whose ticket changed',
    [{ kind: 'ticket', member: 'a', at: 0, ticket: 7 } as const, ...turn('a', 1, 1, 1, 10)],
    'several tickets',
  ],
  ['a waiter that was passed', [...turn('a', 2, 1, 0, 10), ...turn('b', 1, 2, 11, 20)], 'was granted after'],
  ['a fence that started early', [...turn('a', 1, 2, 0, 10), ...turn('b', 0, 1, 11, 20)], 'started early'],
])('complains about %s', (_, events, complaint) => {
  expect(judge(events, 1).complaints.join('; ')).toContain(complaint)
})
