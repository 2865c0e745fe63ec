/**
 * The security headers of every answer, as constants: a header plug-in, which builds them anew for each request, made a
 * validated JSON request cost a quarter more CPU here.
 *
 * No `Strict-Transport-Security`: TLS ends in front of this server, and whoever ends it sets that header.
 */
import type { ServerResponse } from 'node:http'

/** For answers that are data: nothing in them may be executed, framed or guessed to be another type. */
const forData = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
} as const

/** For pages: their own scripts, styles and images only, nothing inline, no frames, no other site. */
export const pageHeaders = {
  'content-security-policy': policy({}),
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'x-frame-options': 'DENY',
  'cache-control': 'no-cache',
} as const

/** As `pageHeaders`, for swagger-ui, which sets styles inline and shows images as data. */
export const docsHeaders = {
  ...pageHeaders,
  'content-security-policy': policy({ style: "'self' 'unsafe-inline'", image: "'self' data:" }),
} as const

/** Sets the headers of a data answer; page routes override them. */
export function setDataHeaders(response: ServerResponse): void {
  response.setHeader('content-security-policy', forData['content-security-policy'])
  response.setHeader('x-content-type-options', forData['x-content-type-options'])
  response.setHeader('cache-control', forData['cache-control'])
}

function policy({ style = "'self'", image = "'self'" }: { style?: string; image?: string }): string {
  return [
    "default-src 'self'",
    "script-src 'self'",
    `style-src ${style}`,
    `img-src ${image}`,
    "connect-src 'self'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ')
}
