/**
 * `/openapi.json` (OpenAPI 3.1, from the routes' zod schemas) and `/docs` (swagger-ui).
 *
 * Both are made at their first request, in applications of their own: the libraries for it would take longer to load
 * than the rest of the server.
 */
import { readFile } from 'node:fs/promises'
import fastify, { type FastifyInstance, type FastifySchema, type RouteOptions } from 'fastify'
import { z } from 'zod'
import { errorCodes, type ErrorCode } from '../kernel/error.ts'
import { docsHeaders } from './security-headers.ts'

interface DocsOptions {
  readonly version: string
  /** Where people reach the server; default: where the document came from. */
  readonly publicUrl?: string | undefined
}

/** The body of every error answer (`errors.ts`). */
const problemView = z
  .looseObject({
    error: z.looseObject({
      code: z.enum(Object.keys(errorCodes) as ErrorCode[]),
      message: z.string(),
      details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
    }),
    requestId: z.string(),
  })
  .describe('Any failure; see docs/errors.md for the codes.')

type DescribedRoute = Pick<RouteOptions, 'method' | 'url'> & { readonly schema: FastifySchema }

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the document says in place of this route, and of others beside it that stand behind a wildcard. */
    described?: readonly DescribedRoute[]
  }
}

/** Call it before the routes are added: it describes those that come after it. */
export function addApiDocs(app: FastifyInstance, options: DocsOptions): void {
  const routes: DescribedRoute[] = []
  app.addHook('onRoute', ({ method, url, schema = {}, config }) => {
    if (method !== 'HEAD') routes.push(...(config?.described ?? []))
    if (schema.hide !== true && method !== 'HEAD') routes.push({ method, url, schema: { ...schema } })
  })

  let document: Promise<object> | undefined
  const openApi = (): Promise<object> => (document ??= describeRoutes(routes, options))
  app.get('/openapi.json', { schema: { hide: true } }, openApi)

  let page: Promise<FastifyInstance> | undefined
  for (const url of ['/docs', '/docs/*']) {
    app.get(url, { schema: { hide: true } }, async (request, reply) => {
      const ui = await (page ??= openApi().then(docsPage))
      for (const [name, value] of Object.entries(docsHeaders)) reply.raw.setHeader(name, value)
      reply.hijack()
      ui.routing(request.raw, reply.raw)
    })
  }
}

async function describeRoutes(routes: readonly DescribedRoute[], options: DocsOptions): Promise<object> {
  const [{ default: swagger }, { jsonSchemaTransform }] = await Promise.all([
    import('@fastify/swagger'),
    import('fastify-type-provider-zod'),
  ])
  const described = fastify({ exposeHeadRoutes: false })
  described.setValidatorCompiler(() => () => true)
  described.setSerializerCompiler(() => JSON.stringify)
  await described.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Signalbox',
        version: options.version,
        description: 'Decides when work may run: in turn, by priority, on delivery, or on schedule.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: options.publicUrl ?? '/' }],
      components: {
        securitySchemes: {
          token: { type: 'http', scheme: 'bearer' },
          basic: { type: 'http', scheme: 'basic', description: 'For the lease routes alone.' },
        },
      },
      security: [{ token: [] }],
    },
    transform: jsonSchemaTransform,
  })
  for (const { method, url, schema } of routes) {
    const response = { default: problemView, ...(schema.response as object | undefined) }
    described.route({ method, url, schema: { ...schema, response }, handler: () => undefined })
  }
  await described.ready()
  return described.swagger()
}

async function docsPage(document: object): Promise<FastifyInstance> {
  const [{ default: swagger }, { default: swaggerUi }, logo] = await Promise.all([
    import('@fastify/swagger'),
    import('@fastify/swagger-ui'),
    readFile(new URL('console/assets/logo.svg', import.meta.url)),
  ])
  const page = fastify()
  await page.register(swagger, { mode: 'static', specification: { document: document as never } })
  await page.register(swaggerUi, {
    routePrefix: '/docs',
    logo: { type: 'image/svg+xml', content: logo, href: '/console', target: '_self' },
    theme: {
      title: 'Signalbox API',
      favicon: [
        { filename: 'logo.svg', rel: 'icon', sizes: 'any', type: 'image/svg+xml', content: String(logo) },
      ],
    },
    uiConfig: { deepLinking: true, displayRequestDuration: true },
  })
  await page.ready()
  return page
}
