import { expect, it } from 'vitest'
import { createLogger } from './logger.ts'

function lines(format: 'auto' | 'json' | 'text', terminal: boolean): string[] {
  const written: string[] = []
  const logger = createLogger({ level: 'info', format }, terminal, {
    write: (line) => void written.push(line),
  })
  logger.debug('not this')
  logger.info({ url: 'http://x', note: 'two words', n: 1 }, 'ready')
  logger.error({ err: new Error('odd') }, 'failed')
  return written
}

it.each([
  ['json', true],
  ['auto', false],
] as const)('format %s, terminal %s: an object a line', (format, terminal) => {
  const [ready = '', failed = ''] = lines(format, terminal)
  expect(JSON.parse(ready)).toEqual({
    level: 'info',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    url: 'http://x',
    note: 'two words',
    n: 1,
    msg: 'ready',
  })
  expect(JSON.parse(failed)).toMatchObject({
    err: { message: 'odd', stack: expect.stringContaining('logger.test') },
  })
})

it.each([
  ['text', false],
  ['auto', true],
] as const)('format %s, terminal %s: a short line, and the stack of an error', (format, terminal) => {
  const [ready, failed] = lines(format, terminal)
  expect(ready).toMatch(/^\d\d:\d\d:\d\d INFO {2}ready url=http:\/\/x note="two words" n=1\n$/)
  expect(failed).toMatch(/^\d\d:\d\d:\d\d ERROR failed\nError: odd\n {4}at .*logger\.test/)
})
