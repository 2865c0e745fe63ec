/** The channel of type `email`: one plain text by SMTP to all its recipients. The library is loaded with the first one. */
import type { Links } from '../../notifications/event.ts'
import type { Sender, Sent } from '../../notifications/sending.ts'
import { mailText } from '../../notifications/text.ts'
import type { EmailConfig } from '../config/notification-values.ts'

export interface SmtpConfig {
  readonly host: string
  readonly port: number
  readonly tls: 'starttls' | 'implicit' | 'off'
  readonly user?: string | undefined
  readonly password?: string | undefined
  readonly from?: string | undefined
}

/** What the library says of a failure. */
interface SmtpFailure extends Error {
  readonly code?: string
  readonly responseCode?: number
}

const CONNECT_MS = 9_000
/** Together with the above within what a try may take. */
const ANSWER_MS = 30_000
const MAX_SHOWN = 160

/** @param config with a sender, here or with the server */
export function emailSender({ to, from }: EmailConfig, smtp: SmtpConfig, links: Links): Sender {
  const sender = from ?? smtp.from ?? ''
  const domain = sender.slice(sender.indexOf('@') + 1)
  return async (event, _, signal) => {
    const { createTransport } = await import('nodemailer')
    const transport = createTransport({
      host: smtp.host,
      port: smtp.port,
      secure: smtp.tls === 'implicit',
      requireTLS: smtp.tls === 'starttls',
      ignoreTLS: smtp.tls === 'off',
      ...(smtp.user === undefined ? {} : { auth: { user: smtp.user, pass: smtp.password ?? '' } }),
      connectionTimeout: CONNECT_MS,
      greetingTimeout: ANSWER_MS,
      socketTimeout: ANSWER_MS,
      disableFileAccess: true,
      disableUrlAccess: true,
    })
    const hangUp = (): void => transport.close()
    signal.addEventListener('abort', hangUp, { once: true })
    try {
      const { rejected } = await transport.sendMail({
        from: { name: 'Signalbox', address: sender },
        to: [...to],
        ...mailText(event, links),
        messageId: `<${event.id}@${domain}>`,
        headers: { 'auto-submitted': 'auto-generated' },
        textEncoding: 'quoted-printable',
      })
      if (rejected.length === 0) return { ok: true }
      return { ok: true, warning: `the mail server refused ${rejected.length} of ${to.length} recipients` }
    } catch (error) {
      return failureOf(error as SmtpFailure, smtp)
    } finally {
      signal.removeEventListener('abort', hangUp)
      transport.close()
    }
  }
}

function failureOf({ code, responseCode, message }: SmtpFailure, { host, port }: SmtpConfig): Sent {
  const line = message.replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ').slice(0, MAX_SHOWN)
  const refused = responseCode !== undefined && responseCode >= 500
  return {
    ok: false,
    error: `${host}:${port}: ${line}`,
    fault: refused && (code === 'EENVELOPE' || code === 'EMESSAGE') ? 'message' : 'channel',
    ...(refused || code === 'EAUTH' || code === 'ETLS' ? { slow: true } : {}),
  }
}
