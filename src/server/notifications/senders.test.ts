/** The channels against receivers on loopback, and what nobody may smuggle through them. */
import { spawnSync } from 'node:child_process'
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Event } from '../../notifications/event.ts'
import { noticeId } from '../../notifications/notice.ts'
import type { Sent } from '../../notifications/sending.ts'
import { smtpServer, type SmtpServer } from '../../../test/support/smtp-server.ts'
import { webhookReceiver, type WebhookReceiver } from '../../../test/support/webhook-receiver.ts'
import { emailSender, type SmtpConfig } from './email.ts'
import { slackSender, slackText } from './slack.ts'
import { webhookSender } from './webhook.ts'

const NOW = Date.UTC(2026, 4, 1, 12)
const KEY = Buffer.alloc(32, 5)
const SECRET = `whsec_${KEY.toString('base64')}`
const links = { publicUrl: 'https://box.example.org' }
const signal = new AbortController().signal

const event = (more: Partial<Event> = {}): Event => ({
  id: noticeId('failed', 'report:1'),
  kind: 'failed',
  at: NOW - 1_000,
  job: 'report',
  schedule: 'nightly',
  run: 'report:nightly@2026-05-01T12:00:00Z',
  scheduledAt: NOW - 5_000,
  attempt: 3,
  error: 'disk full',
  ...more,
})

async function receiver(): Promise<WebhookReceiver> {
  const made = await webhookReceiver()
  onTestFinished(() => made.close())
  return made
}

describe('a webhook', () => {
  it('is JSON whose signature its receiver can check', async () => {
    const { url, received } = await receiver()
    const send = webhookSender(
      { type: 'webhook', url: `${url}/in?team=a`, secret: SECRET, headers: { 'x-team': 'a' } },
      links,
    )
    expect(await send(event(), NOW, signal)).toEqual({ ok: true })
    const [{ path, headers, body } = { path: '', headers: {}, body: '' }] = received
    expect(path).toBe('/in?team=a')
    expect(headers).toMatchObject({
      'x-team': 'a',
      'content-type': 'application/json',
      'webhook-id': event().id,
    })
    const content = `${String(headers['webhook-id'])}.${NOW / 1_000}.${body}`
    const wanted = createHmac('sha256', KEY).update(content).digest()
    const given = Buffer.from(String(headers['webhook-signature']).slice(3), 'base64')
    expect(timingSafeEqual(given, wanted)).toBe(true)
    expect(JSON.parse(body)).toEqual({
      type: 'run.failed',
      timestamp: '2026-05-01T11:59:59.000Z',
      data: {
        text: 'Schedule nightly failed',
        job: 'report',
        schedule: 'nightly',
        run: 'report:nightly@2026-05-01T12:00:00Z',
        scheduledAt: '2026-05-01T11:59:55.000Z',
        attempt: 3,
        error: 'disk full',
        url: 'https://box.example.org/api/v1/runs/report%3Anightly%402026-05-01T12%3A00%3A00Z',
      },
    })
  })

  it.each<[string, number, Record<string, string>, Partial<Sent & { ok: false }>]>([
    ['a failure of the server', 500, {}, { fault: 'channel' }],
    ['a pause in seconds', 429, { 'retry-after': '120' }, { fault: 'channel', retryAfterMs: 120_000 }],
    [
      'a pause as a date',
      503,
      { 'retry-after': new Date(NOW + 60_000).toUTCString() },
      { retryAfterMs: 60_000 },
    ],
    ['gone', 410, {}, { fault: 'channel', slow: true }],
    ['not allowed', 401, {}, { fault: 'channel', slow: true }],
    ['a message it does not take', 422, {}, { fault: 'message', slow: true }],
    ['a timeout of its own', 408, {}, { fault: 'channel' }],
    ['a redirect, which is not followed', 302, { location: '/elsewhere' }, { fault: 'channel', slow: true }],
  ])('tells of %s', async (_, status, answerHeaders, expected) => {
    const { url, received, answer } = await receiver()
    answer(status, answerHeaders, 'no\r\nsuch \u001B[31mthing')
    const sent = await webhookSender({ type: 'webhook', url, secret: SECRET }, links)(event(), NOW, signal)
    expect(sent).toMatchObject({ ok: false, ...expected })
    expect(sent).toHaveProperty(
      'error',
      expect.stringMatching(new RegExp(`^127\\.0\\.0\\.1:\\d+ answered ${status}.*: no such \\[31mthing$`)),
    )
    if (!('slow' in expected)) expect(sent).not.toHaveProperty('slow')
    expect(received).toHaveLength(1)
  })

  it('shows no secret of its URL, whatever the receiver says', async () => {
    const { url, answer } = await receiver()
    answer(404, {}, 'no route /services/T0/B0/secret?token=abc here')
    const send = slackSender({ type: 'slack', url: `${url}/services/T0/B0/secret?token=abc` }, links)
    expect(JSON.stringify(await send(event(), NOW, signal))).not.toMatch(/secret|abc/)
  })

  it('reads of an endless answer only the beginning', async () => {
    const { url, answer } = await receiver()
    answer(500, {}, 'x'.repeat(5_000_000))
    const sent = await webhookSender({ type: 'webhook', url, secret: SECRET }, links)(event(), NOW, signal)
    expect(sent).toHaveProperty('error', expect.stringMatching(/x{160}$/))
  })

  it('is sent once it was taken, though the answer never ends', async () => {
    const server = createServer((_, response) => void response.writeHead(200).write('ok'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    })
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const send = webhookSender({ type: 'webhook', url, secret: SECRET }, links)
    expect(await send(event(), NOW, signal)).toEqual({ ok: true })
  })

  it('that nobody listens to, or that does not answer, is one line', async () => {
    const { url, close } = await webhookReceiver()
    await close()
    const gone = await webhookSender({ type: 'webhook', url: `${url}/s3cret`, secret: SECRET }, links)(
      event(),
      NOW,
      signal,
    )
    expect(gone).toEqual({
      ok: false,
      error: `${new URL(url).host} was not reached (ECONNREFUSED)`,
      fault: 'channel',
    })
    const silent = await receiver()
    silent.silence()
    const hangUp = new AbortController()
    const asked = webhookSender({ type: 'webhook', url: silent.url, secret: SECRET }, links)(
      event(),
      NOW,
      hangUp.signal,
    )
    await expect.poll(() => silent.received.length, { timeout: 20_000 }).toBe(1)
    hangUp.abort()
    expect(await asked).toMatchObject({ ok: false, fault: 'channel' })
  })
})

describe('a text for Slack', () => {
  it('says what happened, and where', async () => {
    const { url, received } = await receiver()
    await slackSender({ type: 'slack', url }, links)(event(), NOW, signal)
    const { text } = JSON.parse(received[0]?.body ?? '{}') as { text: string }
    expect(text).toContain('*Schedule nightly failed*')
    expect(text).toContain('```\ndisk full\n```')
    expect(text).toContain('https://box.example.org/api/v1/runs/')
  })

  it('addresses nobody and links to nothing that a job or a person wrote', () => {
    const nasty = 'x ``` <!channel> <https://evil.example|click> @channel [a](https://evil.example) &amp;'
    const text = slackText(
      event({ error: nasty, reason: '``` @here', by: '<@U1>`', run: 'report:@channel' }),
      links,
    )
    const outside = text.replaceAll(/```[^`]*```/g, '').replaceAll(/`[^`]*`/g, '')
    expect(outside).not.toMatch(/@channel|@here|<|evil/)
    expect(text).not.toContain('<')
  })
})

describe('e-mail', () => {
  async function mailServer(options: { readonly auth?: boolean } = {}): Promise<SmtpServer> {
    const made = await smtpServer(options)
    onTestFinished(() => made.close())
    return made
  }
  const smtp = (server: SmtpServer, more: Partial<SmtpConfig> = {}): SmtpConfig => ({
    host: '127.0.0.1',
    port: server.port,
    tls: 'off',
    from: 'box@example.org',
    ...more,
  })
  const config = { type: 'email' as const, to: ['ops@example.org', 'eve@example.org'] }

  it('is one plain text to all, with the id of the event', async () => {
    const server = await mailServer()
    const send = emailSender(config, smtp(server), links)
    expect(await send(event({ error: 'disk full\n.\nsecond line: ü' }), NOW, signal)).toEqual({ ok: true })
    const [mail] = server.mails
    expect(mail).toMatchObject({ from: 'box@example.org', to: config.to, user: undefined })
    const [head = '', ...body] = (mail?.raw ?? '').split('\r\n\r\n')
    expect(head).toContain('Subject: [Signalbox] Schedule nightly failed')
    expect(head).toContain(`Message-ID: <${event().id}@example.org>`)
    expect(head).toMatch(/Auto-Submitted: auto-generated/i)
    expect(head).toContain('text/plain')
    const text = body.join('\r\n\r\n').replaceAll('=\r\n', '')
    expect(text).toContain('disk full\r\n.\r\nsecond line: =C3=BC')
  })

  it('signs in where a user is configured, with its own sender', async () => {
    const server = await mailServer({ auth: true })
    const own = { ...config, from: 'jobs@example.com' }
    await emailSender(own, smtp(server, { user: 'box', password: 'pw' }), links)(event(), NOW, signal)
    expect(server.mails).toMatchObject([{ from: 'jobs@example.com', user: 'box' }])
  })

  it('has no header that somebody smuggled in', async () => {
    const server = await mailServer()
    const evil = 'x\r\nBcc: evil@example.org\r\n\r\nhello\u2028Bcc: two@example.org'
    const nasty = event({ schedule: evil, job: evil, run: evil, error: evil, reason: evil, by: evil })
    await emailSender(config, smtp(server), links)(nasty, NOW, signal)
    const [mail] = server.mails
    expect(mail?.to).toEqual(config.to)
    const [head = ''] = (mail?.raw ?? '').split('\r\n\r\n')
    expect(head).not.toMatch(/^bcc:/im)
    expect(head.match(/^subject:/gim)).toHaveLength(1)
  })

  it('tells of servers that refuse, that offer no encryption, and of those that are not there', async () => {
    const server = await mailServer()
    const send = (more: Partial<SmtpConfig> = {}): Promise<Sent> =>
      emailSender(config, smtp(server, more), links)(event(), NOW, signal)
    server.answerTo('RCPT TO:<EVE', '550 nobody here')
    expect(await send()).toEqual({ ok: true, warning: 'the mail server refused 1 of 2 recipients' })
    server.answerTo('MAIL', '451 later')
    const later = await send()
    expect(later).toMatchObject({ ok: false, fault: 'channel' })
    expect(later).not.toHaveProperty('slow')
    server.answerTo('MAIL', '550 no such sender')
    expect(await send()).toMatchObject({ ok: false, fault: 'message', slow: true })
    expect(await send({ tls: 'starttls' })).toMatchObject({ ok: false, fault: 'channel', slow: true })
    expect(server.mails).toHaveLength(1)
    await server.close()
    expect(await send()).toMatchObject({
      ok: false,
      fault: 'channel',
      error: expect.stringMatching(/ECONNREFUSED/),
    })
  })
})

it('the mail library is loaded with the first mail, not with the server', () => {
  const script = `
    import { registerHooks } from 'node:module'
    registerHooks({
      resolve(specifier, context, next) {
        const resolved = next(specifier, context)
        if (/nodemailer|notifications\\/email/.test(resolved.url)) console.log(resolved.url)
        return resolved
      },
    })
    await import('${new URL('../notifications.ts', import.meta.url).href}')`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  })
  expect(stderr).toBe('')
  expect(stdout.trim().split('\n')).toEqual([expect.stringMatching(/server\/notifications\/email\.ts$/)])
})
