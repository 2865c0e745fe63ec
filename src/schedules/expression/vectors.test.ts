/** The vectors of schedule expressions that are kept with the tests, and that their player can fail. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { playVectors, readVectors } from '../../../test/schedules/vectors/play.ts'

const file = resolve(import.meta.dirname, '../../../test/schedules/vectors/cron.json')

it('passes every vector', () => {
  const vectors = readVectors(file)
  expect(vectors.valid.length).toBeGreaterThanOrEqual(25)
  expect(vectors.invalid.length).toBeGreaterThanOrEqual(27)
  expect(playVectors(vectors)).toEqual({
    passed: vectors.valid.length + vectors.invalid.length,
    failures: [],
  })
})

it('fails wrong, missing and superfluous fires, and what should be refused or taken', () => {
  const daily = {
    id: 'daily',
    expression: 'cron(0 0 1 1 ? 2030-2031)',
    timezone: 'UTC',
    from: '2026-01-01T00:00:00Z',
  }
  const right = ['2030-01-01T00:00:00Z', '2031-01-01T00:00:00Z']
  const { passed, failures } = playVectors({
    valid: [
      { ...daily, next: right },
      { ...daily, next: [right[0]!, '2031-01-01T00:01:00Z'] },
      { ...daily, next: [right[0]!] },
      { ...daily, next: [...right, '2032-01-01T00:00:00Z'] },
      { ...daily, next: right, timezone: 'Mars/Olympus' },
      { ...daily, next: right, expression: 'cron(0 0 1 1 *)' },
    ],
    invalid: [{ id: 'taken', expression: 'cron(0 0 1 1 ? *)', timezone: 'UTC' }],
  })
  expect(passed).toBe(1)
  expect(failures.map((line) => line.split(':')[0])).toEqual([
    'daily',
    'daily',
    'daily',
    'daily',
    'daily',
    'taken',
  ])
  for (const line of failures) expect(line).not.toContain('\n')
})

it('plays a rate from its anchor', () => {
  const rate = {
    id: 'rate',
    expression: 'rate(1 day)',
    timezone: 'UTC',
    from: '2026-01-03T12:00:00Z',
    anchor: '2026-01-01T09:00:00Z',
  }
  const next = ['04', '05', '06', '07', '08'].map((day) => `2026-01-${day}T09:00:00Z`)
  expect(playVectors({ valid: [{ ...rate, next }], invalid: [] }).passed).toBe(1)
  expect(playVectors({ valid: [{ ...rate, anchor: rate.from, next }], invalid: [] }).passed).toBe(0)
})

it.each([
  ['{', /JSON/],
  ['[]', /'valid' is missing/],
  ['null', /must be an object/],
  ['{"valid":[]}', /'invalid' is missing/],
  ['{"valid":[{"id":"a"}],"invalid":[]}', /valid\[0\] is not a vector/],
  ['{"valid":[],"invalid":[{"id":"a","expression":5}]}', /invalid\[0\] is not a vector/],
])('says what is wrong with the file %s', (text, problem) => {
  const folder = mkdtempSync(join(tmpdir(), 'vectors-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'bad.json'), text)
  expect(() => readVectors(join(folder, 'bad.json'))).toThrow(problem)
  expect(() => readVectors(join(folder, 'none.json'))).toThrow(/ENOENT/)
})
