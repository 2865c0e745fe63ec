/** The judges of these races object to what they are there for. */
import { expect, it } from 'vitest'
import { judgeHolds, namesIn } from './records.ts'
import { judgeWork, type Step } from './work.ts'

const step = (what: Step['what'], fence: number, name = `m${fence}`): Step => ({ what, fence, name })

it('is content with turns one after the other, also when the one before never said that it was done', () => {
  expect(judgeWork([step('in', 1), step('out', 1), step('in', 2), step('tick', 2), step('in', 4)])).toEqual(
    [],
  )
})

it.each([
  ['a command that works on behind its successor', [step('in', 1), step('in', 2), step('tick', 1)]],
  ['a later turn that began first', [step('in', 2), step('in', 1)]],
  ['a fence that two have', [step('in', 1, 'a'), step('in', 1, 'b')]],
  ['work without a turn', [step('in', 1), step('tick', 2)]],
] as const)('objects to %s', (_, steps) => {
  expect(judgeWork(steps)).not.toEqual([])
})

it('objects to holds out of ticket order, unless they are excused, and to a fence given twice', () => {
  const hold = (fence: number, ticket: number) => ({
    name: `m${ticket}`,
    ticket,
    fence,
    as: 'released',
    grantedAt: 0,
    endedAt: 0,
  })
  expect(judgeHolds([hold(1, 1), hold(2, 3), hold(3, 2)])).toHaveLength(1)
  expect(judgeHolds([hold(1, 1), hold(2, 3), hold(3, 2)], ['m2'])).toEqual([])
  expect(judgeHolds([hold(1, 1), hold(1, 2)])).toHaveLength(1)
})

it('sees who stands in a table, in line, in the inbox and holding', () => {
  const item = (partition: string, value: Record<string, unknown>) => ({ partition, key: 0, value })
  const member = (name: string) => item(`signalbox:m:q:${name}`, { id: `id-${name}`, labels: { name } })
  const items = [
    ...['holds', 'waits', 'posted', 'gone'].map(member),
    item('signalbox:q:q', { holders: [{ id: 'id-holds' }], window: [] }),
    item('signalbox:w:q', { id: 'id-waits', labels: { name: 'waits' } }),
    item('signalbox:i:q', { id: 'id-posted', labels: { name: 'posted' } }),
  ]
  expect([...namesIn(items)].sort()).toEqual(['holds', 'posted', 'waits'])
})
