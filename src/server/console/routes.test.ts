import fastify from 'fastify'
import { expect, it, onTestFinished } from 'vitest'
import { addConsoleRoutes } from './routes.ts'

it.each(['/console', '/console/leases'])(
  '%s and all that it asks for is served, and nothing is inline',
  async (page) => {
    // prettier-ignore
    const app = fastify()
    onTestFinished(() => app.close())
    addConsoleRoutes(app, '1.2.3')
    const fetched = new Set<string>()
    const waiting = [page]
    for (let url = waiting.pop(); url !== undefined; url = waiting.pop()) {
      if (fetched.has(url)) continue
      fetched.add(url)
      const { statusCode, headers, body } = await app.inject(url)
      expect([url, statusCode]).toEqual([url, 200])
      expect(headers['content-security-policy']).toContain("script-src 'self'")
      const named = body.matchAll(/(?:src|href)="(\/console\/[\w.-]+\.\w+)"|from '\.\/([\w.-]+)'/g)
      waiting.push(...[...named].map(([, path, sibling]) => path ?? `/console/${sibling}`))
      expect(body).not.toMatch(/<style|\sstyle="|\son\w+="|<script(?![^>]*\ssrc=)/)
    }
    expect(fetched.size).toBeGreaterThan(5)
  },
)
