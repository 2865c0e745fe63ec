import { describe, expect, it } from 'vitest'
import { loadConfig } from './load.ts'

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const channels = (value: unknown): Record<string, string> => ({
  SIGNALBOX_NOTIFICATIONS_CHANNELS: JSON.stringify(value),
})
const load = async (env: Record<string, string>) =>
  (await loadConfig({ cwd: '/nonexistent', env })).config.notifications
const problems = async (env: Record<string, string>): Promise<string> =>
  load(env).then(
    () => 'no problem',
    (error: Error) => error.message,
  )

describe('notifications.channels', () => {
  it('are webhooks, mail and Slack-compatible hooks by name', async () => {
    const given = {
      ops: {
        type: 'webhook',
        url: 'https://ops.example.org/in?x=1',
        secret: SECRET,
        headers: { 'x-team': 'a b' },
      },
      turning: { type: 'webhook', url: 'http://127.0.0.1:9/', secrets: [SECRET, SECRET] },
      mail: { type: 'email', to: ['ops@example.org'], from: 'box@example.org' },
      chat: { type: 'slack', url: 'https://hooks.example.org/services/T/B/x' },
    }
    const env = { ...channels(given), SIGNALBOX_NOTIFICATIONS_SMTP_HOST: 'smtp.example.org' }
    expect((await load(env)).channels).toEqual(given)
  })

  it.each([
    [
      'no type',
      { ops: { url: 'https://x.example' } },
      'notifications.channels.ops.type: (secret) is not a section of channels; write',
    ],
    [
      'another type',
      { ops: { type: 'pager' } },
      'notifications.channels.ops.type: (secret) is not a section of channels; write',
    ],
    [
      'no secret',
      { ops: { type: 'webhook', url: 'https://x.example/' } },
      'has no secret; write secret: whsec_…',
    ],
    [
      'a short secret',
      { ops: { type: 'webhook', url: 'https://x.example/', secret: 'whsec_c2hvcnQ=' } },
      'is not a secret of webhooks',
    ],
    [
      'a secret that is no base64',
      { ops: { type: 'webhook', url: 'https://x.example/', secret: `whsec_${'?'.repeat(40)}` } },
      'is not a secret of webhooks',
    ],
    ['another protocol', { ops: { type: 'slack', url: 'file:///etc/passwd' } }, 'is not a URL'],
    ['a password in the URL', { ops: { type: 'slack', url: 'https://u:p@x.example/' } }, 'is not a URL'],
    [
      'a header of ours',
      { ops: { type: 'webhook', url: 'https://x.example/', secret: SECRET, headers: { 'Webhook-Id': 'x' } } },
      'is a header that we set ourselves',
    ],
    [
      'a line break in a header',
      {
        ops: {
          type: 'webhook',
          url: 'https://x.example/',
          secret: SECRET,
          headers: { 'x-a': 'b\r\nx-c: d' },
        },
      },
      'is not a section of channels',
    ],
    [
      'a line break in an address',
      { ops: { type: 'email', to: ['a@example.org\r\nBcc: b@example.org'], from: 'a@b.example' } },
      'is not a mail address',
    ],
    [
      'a name in an address',
      { ops: { type: 'email', to: ['Ops <a@example.org>'], from: 'a@b.example' } },
      'is not a mail address',
    ],
    [
      'a misspelt key',
      { ops: { type: 'slack', url: 'https://x.example/', secret: SECRET } },
      'has the unknown key secret',
    ],
    ['a bad name', { 'o p': { type: 'slack', url: 'https://x.example/' } }, 'is not the name of a channel'],
    [
      'too many',
      Object.fromEntries(
        Array.from({ length: 17 }, (_, i) => [`c${i}`, { type: 'slack', url: 'https://x.example/' }]),
      ),
      'has 17 channels; write 16 at most',
    ],
  ])('are refused with %s, and nothing of them is shown', async (_, given, expected) => {
    const text = await problems(channels(given))
    expect(text).toContain(expected)
    expect(text).not.toMatch(/whsec_\w{4}|x\.example|u:p|Bcc/)
  })

  it('need a mail server and a sender for mail', async () => {
    const mail = { mail: { type: 'email', to: ['ops@example.org'] } }
    const text = await problems(channels(mail))
    expect(text.split('\n')).toEqual([
      "SIGNALBOX_NOTIFICATIONS_CHANNELS: notifications.channels: (secret) has the channel 'mail' of type email; set notifications.smtp.host",
      "SIGNALBOX_NOTIFICATIONS_CHANNELS: notifications.channels: (secret) has the channel 'mail' without a sender; set its from, or notifications.smtp.from",
    ])
  })
})

describe('notifications.rules', () => {
  const withRules = (rules: unknown): Record<string, string> => ({
    ...channels({ ops: { type: 'slack', url: 'https://x.example/' } }),
    SIGNALBOX_NOTIFICATIONS_RULES: JSON.stringify(rules),
  })

  it('say what goes where', async () => {
    const rules = [{ events: ['failed', 'recovered'], schedules: ['bill-*'], jobs: ['*'], channels: ['ops'] }]
    expect((await load(withRules(rules))).rules).toEqual(rules)
  })

  it.each([
    [
      'an unknown channel',
      [{ channels: ['pager'] }],
      "names the channel 'pager', which notifications.channels does not have",
    ],
    ['no channel', [{ events: ['failed'] }], 'notifications.rules'],
    [
      'an unknown event',
      [{ events: ['late'], channels: ['ops'] }],
      'is not a kind of event; write one of failed, cancelled, timed_out, lost, missed, recovered',
    ],
    ['no events', [{ events: [], channels: ['ops'] }], 'is empty; leave it out for all'],
    ['an odd pattern', [{ jobs: ['a b'], channels: ['ops'] }], 'is not a pattern'],
  ])('are refused with %s', async (_, rules, expected) => {
    expect(await problems(withRules(rules))).toContain(expected)
  })
})
