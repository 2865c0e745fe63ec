import { expect, it } from 'vitest'
import type { ScheduleRow } from '../api.ts'
import { scheduleListText } from './views.ts'

const NOW = Date.parse('2030-01-01T00:00:00Z')
const row = (more: Partial<ScheduleRow>): ScheduleRow => ({
  name: 'a',
  job: 'mail',
  expression: 'rate(1 hour)',
  says: 'every hour',
  timeZone: 'UTC',
  enabled: true,
  nextAt: '2030-01-01T00:10:00.000Z',
  trigger: { kind: 'embedded', state: 'in_sync' },
  ...more,
})

it.each([
  [{}, 'in 10m'],
  [{ nextAt: '2029-12-31T23:59:59.000Z' }, 'now'],
  [{ enabled: false }, 'disabled'],
  [{ enabled: false, paused: { at: '2029-12-31T00:00:00Z', by: 'ann' } }, 'paused'],
  [{ trigger: { kind: 'eventbridge', state: 'failed', error: 'throttled' } }, 'in 10m, rule failed'],
] as const)('%j is shown as: %s', (more, next) => {
  const [, line = ''] = scheduleListText([row(more)], NOW).split('\n')
  expect(line.split(/ {2,}/)).toEqual(['a', 'mail', 'every hour', 'UTC', next, '-'])
})
