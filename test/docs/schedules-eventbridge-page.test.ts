/** docs/schedules-eventbridge.md names every setting and command, and prints the policies that the set-up makes. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import type { SchedulesContext } from '../../src/cli/schedules-context.ts'
import { eventBridgeCommands } from '../../src/schedules/cli/eventbridge.ts'
import { eventBridgeSetup } from '../../src/schedules/eventbridge-setup.ts'
import { TRIGGER_PATH } from '../../src/schedules/http-trigger.ts'
import { configKeys } from '../../src/server/config/keys.ts'
import { awsSettings } from '../../src/server/config/trigger-values.ts'
import { root } from '../support/processes.ts'

const page = readFileSync(join(root, 'docs/schedules-eventbridge.md'), 'utf8')
const settings = configKeys.filter(({ path }) => path.startsWith('schedules.eventBridge.'))

const schedule = new Command('schedule')
eventBridgeCommands(schedule, {} as SchedulesContext)
const commands = schedule.commands.flatMap(({ commands: own }) => own)

function blocks(language: string): string[] {
  const found = page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))
  return [...found].map(([, block = '']) => block)
}

describe('docs/schedules-eventbridge.md', () => {
  it('has a row for each setting, with the variable that people know it by', () => {
    expect(settings).not.toEqual([])
    const rows = settings.map(({ path, env }) => {
      const key = path.split('.').at(-1) ?? ''
      return `| \`${env[1] ?? env[0]}\` | \`${key}\` |`
    })
    expect(rows.filter((row) => !page.includes(row))).toEqual([])
    const header = settings.find(({ path }) => path.endsWith('.authHeader'))
    expect(page).toContain(`| \`authHeader\` | \`${header?.defaultValue}\` |`)
  })

  it('names every command and flag, and no other', () => {
    expect(commands.map((command) => command.name())).toEqual(['init', 'status', 'reconcile', 'remove'])
    for (const command of commands) expect(page).toContain(`schedule eventbridge ${command.name()}`)
    const everywhere = new Set(['--url', '--data-dir', '--json'])
    const flags = commands.flatMap(({ options }) => options.map(({ long }) => long ?? ''))
    expect(flags.filter((flag) => !everywhere.has(flag) && !page.includes(flag))).toEqual([])
    const text = page.replaceAll(/^```[\s\S]*?^```$/gm, '')
    const named = [...text.matchAll(/(?<![\w-])(--[a-z][a-z-]+)/g)].map(([, flag = '']) => flag)
    expect(named.filter((flag) => !flags.includes(flag))).toEqual([])
  })

  it('prints the trust and the policy of the target role', () => {
    const [made] = eventBridgeSetup({
      trigger: 'eventbridge',
      project: 'MyProject',
      environment: 'test',
      account: '123456789012',
      region: 'eu-central-1',
      targetUrl: 'https://signalbox.example.org',
      apiKey: 'key',
    }).roles
    const [trust, policy] = blocks('json').map((block): unknown => JSON.parse(block))
    expect(trust).toEqual(made?.trust)
    expect(policy).toEqual(made?.policy)
  })

  it('shows the section of the reference with entries that there are', () => {
    const shown = blocks('yaml').map((block) => parse(block) as Readonly<Record<string, object>>)
    const section = shown.find((block) => 'AwsEventBridgeSettings' in block)?.['AwsEventBridgeSettings'] ?? {}
    expect(Object.keys(section)).not.toEqual([])
    expect(Object.keys(section).filter((entry) => !(entry in awsSettings))).toEqual([])
    const variables = new Set(configKeys.flatMap(({ env }) => env))
    const named = [...page.matchAll(/\b(AwsEventBridgeSettings__\w+|SIGNALBOX_[A-Z_]+|EB_[A-Z_]+)\b/g)]
    expect(named.map(([name]) => name).filter((name) => !variables.has(name))).toEqual([])
  })

  it('names the endpoint', () => expect(page).toContain(TRIGGER_PATH))
})
