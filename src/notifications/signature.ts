/**
 * Signatures of webhooks as Standard Webhooks asks for them (https://www.standardwebhooks.com): HMAC-SHA256 over
 * `<id>.<seconds>.<body>`, one for each secret, so that a receiver accepts either while a secret is replaced.
 */
import { createHmac } from 'node:crypto'

const SECRET = /^whsec_(?<key>[A-Za-z0-9+/]{32,88}={0,2})$/

/** `whsec_` and 24 to 64 bytes in base64. */
export function isSecret(text: string): boolean {
  const key = SECRET.exec(text)?.groups?.['key'] ?? ''
  const bytes = Buffer.from(key, 'base64')
  return (
    bytes.length >= 24 &&
    bytes.length <= 64 &&
    bytes.toString('base64').replace(/=+$/, '') === key.replace(/=+$/, '')
  )
}

/** The headers beside the body. @param atMs when this try is made */
export function signed(
  secrets: readonly string[],
  id: string,
  atMs: number,
  body: string,
): { readonly [header: string]: string } {
  const seconds = String(Math.floor(atMs / 1_000))
  const signatures = secrets.map((secret) => {
    const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
    return `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`
  })
  return { 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': signatures.join(' ') }
}
