/** docs/schedules.md names everything that people can say to schedules, so that it cannot fall behind the code. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import type { SchedulesContext } from '../../src/cli/schedules-context.ts'
import {
  missedPolicies,
  notificationKinds,
  overlapPolicies,
  scheduleDefinition,
  triggerKinds,
} from '../../src/schedules/api.ts'
import { scheduleCommands } from '../../src/schedules/cli.ts'
import { readSchedules } from '../../src/schedules/cli/file.ts'
import { root } from '../support/processes.ts'

const read = (file: string): string => readFileSync(join(root, file), 'utf8')
const page = read('docs/schedules.md')

const { commands } = scheduleCommands({} as SchedulesContext)
const create = commands.find((command) => command.name() === 'create')
const everywhere = ['--url', '--data-dir', '--json']
const flags = new Set(commands.flatMap(({ options }) => options.map(({ long }) => long ?? '')))

const all: Readonly<Record<string, readonly string[]>> = {
  commands: commands.map((command) => `schedule ${command.name()}`),
  'flags of create': (create?.options ?? [])
    .map(({ long }) => long ?? '')
    .filter((flag) => !everywhere.includes(flag)),
  'keys of a schedule': Object.keys(scheduleDefinition.shape).map((key) => `\`${key}\``),
  policies: [...missedPolicies, ...overlapPolicies].map((policy) => `\`${policy}\``),
  triggers: triggerKinds.map((kind) => `\`${kind}\``),
  metrics: [...read('src/server/schedules.ts').matchAll(/'(signalbox_schedules_\w+)'/g)].map(
    ([, name = '']) => name,
  ),
  routes: [
    ...read('src/schedules/http-operate.ts').matchAll(/url: '\/api\/v1\/schedules\/:name(\/\w+)'/g),
  ].map(([, path = '']) => path),
}

describe('docs/schedules.md', () => {
  it.each(Object.entries(all))('names all %s', (_, names) => {
    expect(names).not.toEqual([])
    expect(names.filter((name) => !page.includes(name))).toEqual([])
  })

  it('names no flag that there is not', () => {
    const known = new Set([...flags, '--jobs'])
    // What stands in blocks is run (documents.test.ts).
    const text = page.replaceAll(/^```[\s\S]*?^```$/gm, '')
    const named = [...text.matchAll(/(?<![\w-])(--[a-z][a-z-]+)/g)].map(([, flag = '']) => flag)
    expect([...new Set(named)].filter((flag) => !known.has(flag))).toEqual([])
  })

  it('says the defaults that are', () => {
    const usual = scheduleDefinition.parse({ name: 'a', job: 'a', expression: 'rate(1 hour)' })
    expect(usual).toMatchObject({
      timeZone: 'UTC',
      missed: 'once',
      overlap: 'skip',
      jitterMs: 0,
      parameters: {},
    })
    expect(usual).toMatchObject({ missedWindowMs: 86_400_000, missedLimit: 100, enabled: true })
  })
})

it('examples/schedules.yaml is such a file', async () => {
  const text = read('examples/schedules.yaml')
  const entries = (parse(text) as { schedules: { name: string }[] }).schedules
  const definitions = await readSchedules(text, 'examples/schedules.yaml')
  expect(definitions.map(({ name }) => name)).toEqual(entries.map(({ name }) => name))
})

it('docs/notifications.md names all events', () => {
  const text = read('docs/notifications.md')
  expect(notificationKinds.filter((kind) => !text.includes(`\`${kind}\``))).toEqual([])
})
