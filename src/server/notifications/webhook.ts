/** The channel of type `webhook`: the event as JSON, signed as Standard Webhooks asks for. */
import { viewOf, type Links } from '../../notifications/event.ts'
import type { Sender } from '../../notifications/sending.ts'
import { signed } from '../../notifications/signature.ts'
import type { WebhookConfig } from '../config/notification-values.ts'
import { post } from './post.ts'

export function webhookSender(
  { url, secret, secrets = [], headers = {} }: WebhookConfig,
  links: Links,
): Sender {
  const all = secret === undefined ? secrets : [secret, ...secrets]
  return (event, atMs, signal) => {
    const body = JSON.stringify(viewOf(event, links))
    const signature = signed(all, event.id, atMs, body)
    return post({ url: new URL(url), body, headers: { ...headers, ...signature }, signal, now: atMs })
  }
}
