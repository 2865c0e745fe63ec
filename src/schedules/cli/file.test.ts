import { describe, expect, it } from 'vitest'
import { scheduleDefinition } from '../api.ts'
import { entryOf, readSchedules, same } from './file.ts'

const FILE = 'schedules.yaml'

async function problems(text: string): Promise<string[]> {
  const error: unknown = await readSchedules(text, FILE).then(
    () => new Error('it was accepted'),
    (thrown: unknown) => thrown,
  )
  return (error as Error).message.split('\n')
}

const entry = (more: string): string =>
  `schedules:\n  - name: a\n    job: mail\n    expression: rate(1 hour)\n    ${more}\n`

describe('a file of schedules', () => {
  it('is YAML or JSON, with durations as people write them', async () => {
    const yaml = entry('missedWindow: 90m\n    jitterMs: 500\n    retention: 7d\n    parameters: { by: 5 }')
    const [read] = await readSchedules(yaml, FILE)
    expect(read).toMatchObject({
      missedWindowMs: 5_400_000,
      jitterMs: 500,
      retentionMs: 7 * 86_400_000,
      parameters: { by: 5 },
      overlap: 'skip',
    })
    expect(await readSchedules(JSON.stringify({ schedules: [read] }), FILE)).toEqual([read])
    expect(read).not.toHaveProperty('enabled')
    expect(await readSchedules('schedules: []', FILE)).toEqual([])
  })

  it('is written as it is read: without defaults, the same again', async () => {
    const [read] = await readSchedules(
      entry('missedWindow: 90m\n    enabled: false\n    timeout: 1500ms'),
      FILE,
    )
    const written = entryOf(scheduleDefinition.parse(read))
    expect(written).toEqual({
      name: 'a',
      job: 'mail',
      expression: 'rate(1 hour)',
      enabled: false,
      missedWindow: '90m',
      timeout: '1500ms',
    })
    expect(await readSchedules(JSON.stringify({ schedules: [written] }), FILE)).toEqual([read])
  })

  it.each([
    ['', ["schedules.yaml: must be a list under the one key 'schedules'"]],
    ['schedules: {}', ["schedules.yaml: must be a list under the one key 'schedules'"]],
    ['schedule: []', ['(it has schedule)']],
    ['a: [', ['schedules.yaml: not valid YAML: ']],
    ['schedules: [5]', ['schedules.yaml: schedules[0]: is not a list of keys and values']],
    [entry('overlap: never'), ["schedules[0] 'a': overlap: 'never' must be one of skip, queue"]],
    [entry('missedWindow: 400d'), ["missedWindow: '400d' must be at most 366d"]],
    [entry('jitter: soon'), ["jitter: 'soon' is not a duration"]],
    [entry('jitter: 1s\n    jitterMs: 5'), ['jitter and jitterMs: give one of them']],
    [entry('over: 1'), ['unknown over']],
    [entry('timeZone: Mars'), ["time zone 'Mars'"]],
    [entry('') + entry('').slice('schedules:\n'.length), ["'a' stands there twice"]],
    [
      'schedules:\n  - { name: a, job: m, expression: rate(1 minutes) }\n  - { name: b, expression: x }',
      ["schedules[0] 'a': schedule expression, rate", "schedules[1] 'b': job: missing"],
    ],
  ])('%j is refused, with all that is wrong', async (text, lines) => {
    const found = await problems(text)
    expect(found).toHaveLength(lines.length)
    lines.forEach((line, n) => expect(found[n]).toContain(line))
  })

  it('cannot be a bomb', async () => {
    const levels = Array.from({ length: 12 }, (_, n) => `a${n + 1}: &a${n + 1} [${`*a${n},`.repeat(10)}]`)
    expect((await problems(`a0: &a0 [x]\n${levels.join('\n')}\nschedules: *a12`))[0]).toContain(
      'not valid YAML',
    )
  })
})

it('compares values, not how they are written', () => {
  expect(same({ a: 1, b: { c: [1], d: 2 } }, { b: { d: 2, c: [1] }, a: 1 })).toBe(true)
  expect(same({ a: 1, b: undefined }, { a: 1 })).toBe(true)
  expect(same({ a: [1, 2] }, { a: [2, 1] })).toBe(false)
})
