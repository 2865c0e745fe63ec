/**
 * The reference's paths: `/:owner/:repo/<base ref>` and the same with `/acquire` or `/release`, at the root of the server.
 *
 * Invariant: a base ref is everything between the repository and the verb, percent-decoded; it may hold slashes, raw or
 * encoded. One slash at the end of a path is nothing.
 */
import type { ProviderName } from './api.ts'
import type { Verb } from './http-wire.ts'

/** First segments of paths that are the server's own; no provider's owner may be called so. */
export const RESERVED_OWNERS = [
  'api',
  'assets',
  'console',
  'docs',
  'hooks',
  'k8s',
  'apple-touch-icon.png',
  'favicon.ico',
  'healthz',
  'index.html',
  'manifest.json',
  'metrics',
  'openapi.json',
  'readyz',
  'robots.txt',
] as const

/** The pattern of the fallback route: any owner but the reserved ones. */
export const FALLBACK = `/:owner(^(?!(?:${RESERVED_OWNERS.map(escaped).join('|')})$)[^/]+$)/:repo/*`

export interface Target {
  /** The whole path as a provider. */
  readonly whole: ProviderName
  /** The path as a call: provider and verb. */
  readonly call?: { readonly provider: ProviderName; readonly verb: Verb }
}

/** @param url the raw target, `/acme/shop/release/1.2/acquire?x=1`; its encoding was checked by the router */
export function targetOf(url: string): Target {
  const [path = ''] = url.split(/[?#]/, 1)
  const [, owner = '', repo = '', ...rest] = path.replace(/\/$/, '').split('/')
  const named = (parts: readonly string[]): ProviderName => ({
    owner: decodeURIComponent(owner),
    repo: decodeURIComponent(repo),
    baseRef: decodeURIComponent(parts.join('/')),
  })
  const whole = named(rest)
  const verb = rest.at(-1)
  if ((verb !== 'acquire' && verb !== 'release') || rest.length < 2) return { whole }
  return { whole, call: { provider: named(rest.slice(0, -1)), verb } }
}

function escaped(text: string): string {
  return text.replaceAll('.', String.raw`\.`)
}
