import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { definitionOf, definitionOptions, patchOf, type DefinitionFlags } from './definition-flags.ts'

const NOW = Date.parse('2030-06-01T12:00:00Z')

/** Flags as commander reads them. */
function flags(...argv: string[]): DefinitionFlags {
  const command = definitionOptions(new Command().exitOverride()).option('--enabled')
  return command.parse(argv, { from: 'user' }).opts<DefinitionFlags>()
}
const definition = (...argv: string[]): object =>
  definitionOf('nightly', flags('--job', 'report', ...argv), NOW)
const patch = (...argv: string[]): object => patchOf(flags(...argv), NOW)

describe('flags of create', () => {
  it('say only what was written; the rest has its defaults on the server', () => {
    expect(definition('--rate', '5 minutes')).toEqual({
      name: 'nightly',
      job: 'report',
      expression: 'rate(5 minutes)',
    })
  })

  it('say everything there is', () => {
    const all = [
      ['--cron', '0 9 ? * MON-FRI *'],
      ['--time-zone', 'Europe/Berlin'],
      ['--parameters', '{"a":1,"b":"x"}'],
      ['--param', 'b=two'],
      ['--param', 'c=[1,true]'],
      ['--param', 'd=a=b'],
      ['--missed', 'all'],
      ['--missed-window', '6h'],
      ['--missed-limit', '36'],
      ['--overlap', 'cancel-previous'],
      ['--jitter', '30s'],
      ['--attempts', '2'],
      ['--timeout', '5m'],
      ['--on-lost', 'retry'],
      ['--retention', '30d'],
      ['--start-at', '2030-07-01'],
      ['--end-at', '2031-07-01T00:00:00+02:00'],
      ['--notify', 'ops, mail'],
      ['--notify-on', 'failed,timed-out'],
      ['--description', 'Every morning'],
      ['--disabled'],
    ].flat()
    expect(definition(...all)).toEqual({
      name: 'nightly',
      job: 'report',
      expression: 'cron(0 9 ? * MON-FRI *)',
      timeZone: 'Europe/Berlin',
      parameters: { a: 1, b: 'two', c: [1, true], d: 'a=b' },
      missed: 'all',
      missedWindowMs: 21_600_000,
      missedLimit: 36,
      overlap: 'cancel-previous',
      jitterMs: 30_000,
      attempts: 2,
      timeoutMs: 300_000,
      onLost: 'retry',
      retentionMs: 30 * 86_400_000,
      startAt: '2030-07-01T00:00:00Z',
      endAt: '2031-06-30T22:00:00Z',
      notify: { channels: ['ops', 'mail'], events: ['failed', 'timed_out'] },
      description: 'Every morning',
      enabled: false,
    })
  })

  it('take an expression with or without its name', () => {
    for (const argv of [
      ['--at', '2031-01-01T09:00:00'],
      ['--at', 'at(2031-01-01T09:00:00)'],
      ['--expression', 'at(2031-01-01T09:00:00)'],
    ])
      expect(definition(...argv)).toMatchObject({ expression: 'at(2031-01-01T09:00:00)' })
  })

  it.each([
    [[], 'give one of --cron, --rate, --at'],
    [['--rate', '5 minutes', '--at', '2031-01-01T09:00:00'], 'give one of them'],
    [['--rate', '5'], "schedule expression, rate '5'"],
    [['--cron', '0 9 * * 1-5'], 'in this form: cron(0 9 ? * 2-6 *)'],
    [['--rate', '1 hour', '--time-zone', 'CEST'], "time zone 'CEST'"],
    [['--rate', '1 hour', '--missed', 'never'], "--missed: 'never' must be one of skip, once, all"],
    [['--rate', '1 hour', '--missed-limit', '0'], "--missed-limit: '0' must be at least 1"],
    [['--rate', '1 hour', '--missed-limit', 'many'], "--missed-limit: 'many' must be a whole number"],
    [['--rate', '1 hour', '--jitter', '2d'], "--jitter: '2d' must be at most 1d"],
    [['--rate', '1 hour', '--jitter', 'some'], "--jitter: 'some' is not a duration"],
    [['--rate', '1 hour', '--retention', '1s'], "--retention: '1s' must be at least 1m"],
    [['--rate', '1 hour', '--on-lost', 'panic'], "--on-lost: 'panic' must be one of retry, fail"],
    [['--rate', '1 hour', '--parameters', '[1]'], "--parameters: '[1]' is not a JSON object"],
    [['--rate', '1 hour', '--param', 'by'], "--param: 'by' is not name=value"],
    [['--rate', '1 hour', '--notify-on', 'failed'], '--notify-on: needs --notify'],
    [
      ['--rate', '1 hour', '--notify', 'a', '--notify-on', 'fire'],
      "--notify-on: 'fire' must be one of failed",
    ],
    [['--rate', '1 hour', '--start-at', 'soon'], "--start-at: 'soon' is not a time"],
  ])('%j is refused in one line', (argv, message) => {
    expect(() => definition(...argv)).toThrow(message)
    expect(() => definition(...argv)).toThrow(/^[^\n]+$/)
  })
})

describe('flags of update', () => {
  it('say what changes, and what is taken away', () => {
    expect(patch('--overlap', 'queue', '--enabled')).toEqual({ overlap: 'queue', enabled: true })
    expect(
      patch('--timeout', 'default', '--end-at', 'none', '--notify', 'none', '--description', ''),
    ).toEqual({
      timeoutMs: null,
      endAt: null,
      notify: { channels: [] },
      description: null,
    })
    expect(patch('--notify', 'default')).toEqual({ notify: null })
  })

  it('must say something, and not two things at once', () => {
    expect(() => patch()).toThrow('nothing to change')
    expect(() => patch('--enabled', '--disabled')).toThrow('give one of them')
  })
})
