/** docs/notifications.md says what there is, and its example receiver takes what is genuine, once, and nothing else. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { notificationsContext } from '../../src/cli/notifications-context.ts'
import { eventKinds } from '../../src/notifications/api.ts'
import { notificationsCommands } from '../../src/notifications/cli.ts'
import { typeOf } from '../../src/notifications/event.ts'
import { signed } from '../../src/notifications/signature.ts'
import { configKeys } from '../../src/server/config/keys.ts'
import { configSchema } from '../../src/server/config/schema.ts'
import { endProcesses, root, run, until, type Running } from '../support/processes.ts'

const page = readFileSync(join(root, 'docs/notifications.md'), 'utf8')
const code = (folder: string, name: string): string => readFileSync(join(root, folder, name), 'utf8')

describe('docs/notifications.md', () => {
  it('names every kind, type, metric, command, route and key', () => {
    const commands = notificationsCommands(notificationsContext({} as never, () => undefined)).commands
    const metrics = [...code('src/server', 'notifications.ts').matchAll(/counter\('(\w+)'/g)].map(
      ([, name = '']) => `signalbox_notifications_${name}_total`,
    )
    const routes = [...code('src/notifications', 'http.ts').matchAll(/url: '([^']+)'/g)].map(
      ([, url = '']) => url,
    )
    const missing = [
      ...eventKinds.map((kind) => `\`${kind}\``),
      ...[...eventKinds, 'repeated' as const, 'test' as const].map((kind) => `\`${typeOf({ kind })}\``),
      ...metrics,
      'signalbox_notifications_age_seconds',
      ...commands
        .map((command) => `notifications ${command.name()}`)
        .filter((name) => !/retry|discard/.test(name)),
      '`retry ID`',
      '`discard ID`',
      '/api/v1/notification-channels/NAME/test',
      ...configKeys
        .filter(({ path }) => path.startsWith('notifications.') && path.split('.').length === 2)
        .map(({ path }) => path.split('.')[1] ?? ''),
    ].filter((name) => !page.includes(name))
    expect(missing).toEqual([])
    expect(metrics).toHaveLength(4)
    expect(routes).toHaveLength(6)
  })

  it('shows a configuration that works', () => {
    const [, yaml = ''] = /```yaml\n([\s\S]*?)```/.exec(page) ?? []
    const filled = yaml
      .replace('${WEBHOOK_SECRET}', `whsec_${Buffer.alloc(32).toString('base64')}`)
      .replace('${CHAT_WEBHOOK_URL}', 'https://hooks.example.org/x')
      .replace('${SMTP_PASSWORD}', 'pw')
    const { notifications } = configSchema.parse(parse(filled))
    expect(Object.keys(notifications.channels ?? {})).toEqual(['ops', 'chat', 'team'])
  })
})

describe('examples/notifications-webhook.ts', () => {
  const secret = `whsec_${Buffer.alloc(32, 4).toString('base64')}`
  const other = `whsec_${Buffer.alloc(32, 5).toString('base64')}`
  let receiver: Running
  let url: string

  beforeAll(async () => {
    const { PATH = '' } = process.env
    const env = { PATH, PORT: '0', WEBHOOK_SECRET: secret }
    receiver = run(process.execPath, [join(root, 'examples/notifications-webhook.ts')], { env })
    await until('the receiver listens', () => {
      if (receiver.child.exitCode !== null) throw new Error(receiver.err())
      return /http:.*\n/.test(receiver.out())
    })
    url = /http:\S+/.exec(receiver.out())?.[0] ?? ''
  })
  afterAll(async () => {
    receiver.kill('SIGTERM')
    await receiver.exited
    endProcesses()
  })

  const body = JSON.stringify({
    type: 'run.failed',
    data: { text: 'Schedule nightly failed', error: 'disk full' },
  })
  const post = async (
    secrets: readonly string[],
    id: string,
    atMs = Date.now(),
    sent = body,
  ): Promise<number> =>
    (await fetch(url, { method: 'POST', body: sent, headers: signed(secrets, id, atMs, body) })).status

  it('takes what is signed with its secret, and prints each event once', async () => {
    expect(await post([secret], 'evt_1')).toBe(204)
    expect(await post([secret], 'evt_1')).toBe(204)
    expect(await post([other, secret], 'evt_2')).toBe(204)
    const line = 'run.failed: Schedule nightly failed (disk full)\n'
    await until('both are printed', () => receiver.out().split(line).length === 3)
  })

  it('refuses what is not: another secret, another body, an old time, no signature', async () => {
    expect(await post([other], 'evt_3')).toBe(401)
    expect(await post([secret], 'evt_3', Date.now(), `${body} `)).toBe(401)
    expect(await post([secret], 'evt_3', Date.now() - 600_000)).toBe(401)
    expect((await fetch(url, { method: 'POST', body })).status).toBe(401)
  })
})
