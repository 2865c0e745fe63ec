/** Serves the voting page: three files, read once. */
import { readFileSync } from 'node:fs'
import type { FastifyInstance } from 'fastify'

const FILES = [
  { url: '/', file: 'index.html', type: 'text/html; charset=utf-8' },
  { url: '/page/app.js', file: 'app.js', type: 'text/javascript; charset=utf-8' },
  { url: '/page/style.css', file: 'style.css', type: 'text/css; charset=utf-8' },
  { url: '/page/icon.svg', file: 'icon.svg', type: 'image/svg+xml' },
] as const

export function pageRoutes(app: FastifyInstance): void {
  for (const { url, file, type } of FILES) {
    const content = readFileSync(new URL(`page/${file}`, import.meta.url))
    app.get(url, { schema: { hide: true } }, (_request, reply) => reply.type(type).send(content))
  }
}
