/**
 * How the keys of notifications are read: `notifications.channels` and `notifications.rules`, from the environment as JSON.
 *
 * Invariant: what is refused is never shown, for a channel's URL and headers are secrets too.
 */
import { z } from 'zod'
import { channelName, eventKinds } from '../../notifications/api.ts'
import { isSecret } from '../../notifications/signature.ts'
import { choice, named, structure } from './values.ts'

export const MAX_CHANNELS = 16
const MAX_RULES = 100
const MAX_RECIPIENTS = 50
const MAX_SECRETS = 4
const MAX_HEADERS = 20
/** Ours, and those that belong to the connection. */
const OWN_HEADERS =
  /^(?:webhook-.*|content-(?:type|length|encoding)|host|connection|transfer-encoding|user-agent)$/i

const url = () =>
  named('URL', 'a URL that begins with https:// or http://, without user name or password', (text) => {
    const parsed = URL.parse(text)
    if (parsed === null || text.length > 2_000) return false
    return /^https?:$/.test(parsed.protocol) && parsed.username === '' && parsed.password === ''
  })

const secret = () =>
  named('secret of webhooks', 'whsec_ and 24 to 64 random bytes in base64', (text) => isSecret(text))

/** One address and nothing else: no name before it, no list, nothing that could become a header. */
export const mailAddress = () =>
  named(
    'mail address',
    'for example ops@example.org',
    (text) =>
      /^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/.test(text),
    'signalbox@example.org',
  )

const headerName = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$/
const headers = z
  .record(z.string(), z.string().regex(/^[\t\x20-\x7e]{0,2000}$/))
  .refine((given) => Object.keys(given).length <= MAX_HEADERS, 'has more than 20 headers')
  .superRefine((given, context) => {
    for (const name of Object.keys(given)) {
      if (headerName.test(name) && !OWN_HEADERS.test(name)) continue
      const message = headerName.test(name)
        ? 'is a header that we set ourselves'
        : 'is not the name of a header'
      context.addIssue({ code: 'custom', path: [name], message, params: { shown: name } })
    }
  })

const some = (list: readonly unknown[]): boolean => list.length > 0

const webhook = z
  .strictObject({
    type: z.literal('webhook'),
    url: url(),
    secret: secret().optional(),
    secrets: z.array(secret()).max(MAX_SECRETS).optional(),
    headers: headers.optional(),
  })
  .refine(
    ({ secret: one, secrets = [] }) => one !== undefined || some(secrets),
    'has no secret; write secret: whsec_…, or secrets: with several while one is replaced',
  )

const email = z.strictObject({
  type: z.literal('email'),
  to: z.array(mailAddress()).max(MAX_RECIPIENTS).refine(some, 'is empty; write at least one address'),
  from: mailAddress().optional(),
})

const slack = z.strictObject({ type: z.literal('slack'), url: url() })

const channel = z.discriminatedUnion('type', [webhook, email, slack])
/** One entry of `notifications.channels`. */
export type ChannelConfig = z.output<typeof channel>
export type WebhookConfig = z.output<typeof webhook>
export type EmailConfig = z.output<typeof email>
export type SlackConfig = z.output<typeof slack>

const channels = z.record(z.string(), channel).superRefine((given, context) => {
  const names = Object.keys(given)
  for (const name of names) {
    if (channelName.safeParse(name).success) continue
    const message =
      'is not the name of a channel; write 1 to 64 characters of A-Z a-z 0-9 . _ -, the first a letter or digit'
    context.addIssue({ code: 'custom', path: [name], message, params: { shown: name } })
  }
  if (names.length > MAX_CHANNELS) {
    context.addIssue({
      code: 'custom',
      message: `has ${names.length} channels; write ${MAX_CHANNELS} at most`,
    })
  }
})

export const channelSection = () =>
  structure(
    {
      type: 'section of channels',
      write:
        'one entry for each channel, name: { type: webhook, url, secret or secrets, headers }, { type: email, to, from } or { type: slack, url }',
      example:
        '{ ops: { type: webhook, url: https://ops.example.org/signalbox, secret: "${WEBHOOK_SECRET}" } }',
    },
    channels,
  )

const pattern = () =>
  named(
    'pattern',
    'a name, in which * stands for any characters',
    (text) => /^[A-Za-z0-9._*-]{1,64}$/.test(text) && !text.includes('**'),
  )

const rule = z.strictObject({
  events: z
    .array(choice('kind of event', eventKinds))
    .refine(some, 'is empty; leave it out for all')
    .optional(),
  schedules: z.array(pattern()).refine(some, 'is empty; leave it out for all').optional(),
  jobs: z.array(pattern()).refine(some, 'is empty; leave it out for all').optional(),
  channels: z
    .array(
      named(
        'channel',
        'the name of one of notifications.channels',
        (text) => channelName.safeParse(text).success,
      ),
    )
    .refine(some, 'is empty; name at least one of notifications.channels'),
})

export const ruleList = () =>
  structure(
    {
      type: 'list of rules',
      write: `a list of { events, schedules, jobs, channels }; events are of ${eventKinds.join(', ')}, and what a rule leaves out it does not ask for`,
      example: '[{ events: [failed, lost, missed, recovered], schedules: [billing-*], channels: [ops] }]',
    },
    z.array(rule).max(MAX_RULES),
  )

export const smtpHost = () =>
  named(
    'host',
    'an IP address or a host name, without port',
    (text) => /^[A-Za-z0-9._:-]{1,253}$/.test(text),
    'smtp.example.org',
  )
export const smtpUser = () =>
  named('user name', 'the name to sign in with', (text) => text.length <= 500, 'signalbox')
export const smtpPassword = () =>
  named('password', 'the password to sign in with', (text) => text.length <= 2_000, '"${SMTP_PASSWORD}"')

interface Section {
  readonly channels?: Readonly<Record<string, ChannelConfig>> | undefined
  readonly rules?: readonly z.output<typeof rule>[] | undefined
  readonly smtp: { readonly host?: string | undefined; readonly from?: string | undefined }
}

/** What must fit together: rules name channels that there are, and mail has a server and a sender. */
export function checkNotifications(
  { channels: given = {}, rules = [], smtp }: Section,
  context: z.RefinementCtx,
): void {
  const refuse = (key: string, message: string): void =>
    context.addIssue({ code: 'custom', path: [key], message })
  const unknown = rules.flatMap((one) => one.channels).find((name) => !Object.hasOwn(given, name))
  if (unknown !== undefined) {
    refuse(
      'rules',
      `names the channel '${unknown}', which notifications.channels does not have; add it there`,
    )
  }
  for (const [name, one] of Object.entries(given)) {
    if (one.type !== 'email') continue
    if (smtp.host === undefined)
      refuse('channels', `has the channel '${name}' of type email; set notifications.smtp.host`)
    if ((one.from ?? smtp.from) === undefined) {
      refuse(
        'channels',
        `has the channel '${name}' without a sender; set its from, or notifications.smtp.from`,
      )
    }
  }
}
