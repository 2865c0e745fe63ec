/** The security headers of every answer: data may not be executed, framed or guessed; the page loads its own files only. */
const forData = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
} as const

const common = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'x-frame-options': 'DENY',
  'cache-control': 'no-cache',
} as const

const forPage = {
  ...common,
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
} as const

/** swagger-ui sets styles inline and shows images as data. */
const forDocs = {
  ...common,
  'content-security-policy':
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
} as const

/** @param path without its query */
export function headersFor(path: string): Readonly<Record<string, string>> {
  if (path === '/' || path.startsWith('/page/')) return forPage
  return path === '/docs' || path.startsWith('/docs/') ? forDocs : forData
}
