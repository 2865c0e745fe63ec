import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { agentRequest, watchedProcess, type StartFlags } from './request.ts'

const request = (flags: StartFlags = {}) => agentRequest('deploy', flags, { user: 'ann' })

test('an agent joins like `turn run`, holds for six hours at most and only warns of a loss', () => {
  expect(request()).toEqual({
    queue: 'deploy',
    permits: undefined,
    priority: undefined,
    ttlMs: 45_000,
    stopGraceMs: 5_000,
    labels: { user: 'ann' },
    port: undefined,
    maxHoldMs: 6 * 3_600_000,
    onLost: 'warn',
    name: undefined,
  })
})

test('all of it can be asked for otherwise', () => {
  const flags = { permits: '2', priority: 'high', ttl: '6s', stopGrace: '1s', label: ['job=build'] }
  const own = { port: '50061', maxHold: '90m', onLost: 'cancel-run', name: 'build-1' }
  expect(request({ ...flags, ...own })).toEqual({
    queue: 'deploy',
    permits: 2,
    priority: 75,
    ttlMs: 6_000,
    stopGraceMs: 1_000,
    labels: {
      user: 'ann',
      job: 'build',
    },
    port: 50061,
    maxHoldMs: 5_400_000,
    onLost: 'cancel-run',
    name: 'build-1',
  })
})

test.each<[StartFlags, RegExp]>([
  [{ port: '0' }, /^--port: '0' must be a whole number from 1 to 65535/],
  [{ port: '70000' }, /^--port/],
  [{ maxHold: '0' }, /^--max-hold: '0' must be from 1s to 7d/],
  [{ maxHold: '8d' }, /^--max-hold/],
  [{ maxHold: 'long' }, /^--max-hold: 'long' is not a duration/],
  [{ onLost: 'kill' }, /^--on-lost: 'kill' must be cancel-run or warn/],
  [{ name: '../etc' }, /^--name: '..\/etc' must be 1 to 64 characters/],
  [{ ttl: '2s' }, /^--ttl: 2s is too short/],
  [{ permits: '0' }, /^--permits/],
])('%j is refused by name', (flags, message) => {
  expect(() => request(flags)).toThrow(message)
})

test('a process to watch must be there', () => {
  expect(watchedProcess({ watchPid: String(process.pid) }, {})).toMatchObject({ pid: process.pid })
  const { pid } = spawnSync('true')
  expect(() => watchedProcess({ watchPid: String(pid) }, {})).toThrow(/--watch-pid: there is no process/)
})

test('without a process named there is none to watch, outside GitHub Actions', () => {
  expect(watchedProcess({}, {})).toBeUndefined()
})
