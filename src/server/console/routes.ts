/**
 * The console: static files beside this module under `/console`, and `/`, which leads people there and tells programs
 * where things are.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { pageHeaders } from '../security-headers.ts'

/** What is served, and as what. */
const assets = {
  'index.html': 'text/html; charset=utf-8',
  'leases.html': 'text/html; charset=utf-8',
  'console.css': 'text/css; charset=utf-8',
  'leases.css': 'text/css; charset=utf-8',
  'console.js': 'text/javascript; charset=utf-8',
  'leases.js': 'text/javascript; charset=utf-8',
  'leases-view.js': 'text/javascript; charset=utf-8',
  'page.js': 'text/javascript; charset=utf-8',
  'text.js': 'text/javascript; charset=utf-8',
  'view.js': 'text/javascript; charset=utf-8',
  'logo.svg': 'image/svg+xml',
} as const
type AssetName = keyof typeof assets

/** Where people find the pages. */
const pages: Readonly<Record<string, AssetName>> = {
  '/console': 'index.html',
  '/console/': 'index.html',
  '/console/leases': 'leases.html',
}

interface Asset {
  readonly body: Buffer
  readonly etag: string
}

/** @param rootIsTaken somebody else answers `/` */
export function addConsoleRoutes(app: FastifyInstance, version: string, rootIsTaken = false): void {
  const loaded = new Map<AssetName, Promise<Asset>>()
  const hidden = { schema: { hide: true } }

  const serve = async (name: AssetName, request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    let asset = loaded.get(name)
    if (asset === undefined) loaded.set(name, (asset = load(name)))
    const { body, etag } = await asset
    void reply.headers({ ...pageHeaders, etag })
    if (request.headers['if-none-match'] === etag) return reply.code(304).send()
    return reply.type(assets[name]).send(body)
  }

  const root = (request: FastifyRequest, reply: FastifyReply): unknown => {
    if (request.headers.accept?.includes('text/html') === true) return reply.redirect('/console')
    return { name: 'signalbox', version, console: '/console', docs: '/docs', openapi: '/openapi.json' }
  }
  if (!rootIsTaken) app.get('/', hidden, root)
  for (const [url, page] of Object.entries(pages)) {
    app.get(url, hidden, (request, reply) => serve(page, request, reply))
  }
  for (const name of Object.keys(assets) as AssetName[]) {
    app.get(`/console/${name}`, hidden, (request, reply) => serve(name, request, reply))
  }
}

async function load(name: AssetName): Promise<Asset> {
  const body = await readFile(new URL(`assets/${name}`, import.meta.url))
  return { body, etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"` }
}
