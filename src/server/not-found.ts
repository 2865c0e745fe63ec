/**
 * Answers for paths without a handler: 405 with `Allow` where the path exists under another method, else 404.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { SignalboxError } from '../kernel/error.ts'
import { problemBody } from './errors.ts'

/** Remembers which methods each path pattern takes. */
export class KnownPaths {
  readonly #patterns = new Map<string, { readonly path: RegExp; readonly methods: Set<string> }>()

  /** @param url the route's pattern: `/api/v1/turns/:queue`, `/docs/*` */
  add(methods: string | readonly string[], url: string): void {
    let known = this.#patterns.get(url)
    if (known === undefined) {
      known = { path: patternOf(url), methods: new Set() }
      this.#patterns.set(url, known)
    }
    for (const method of [methods].flat()) known.methods.add(method)
  }

  /** Methods that the path (as sent, without query) takes. */
  methodsOf(path: string): string[] {
    const found = [...this.#patterns.values()].filter((known) => known.path.test(path))
    return [...new Set(found.flatMap((known) => [...known.methods]))].sort()
  }
}

/** The handler for `app.setNotFoundHandler`. */
export function notFound(paths: KnownPaths, request: FastifyRequest, reply: FastifyReply): void {
  const path = request.url.split('?', 1)[0] ?? '/'
  const methods = paths.methodsOf(path)
  const shown = path.length > 100 ? `${path.slice(0, 97)}...` : path
  reply.type('application/json; charset=utf-8')
  if (methods.length > 0 && !methods.includes(request.method)) {
    const message = `${request.method} ${shown}: this path takes ${methods.join(', ')}`
    const error = new SignalboxError('invalid_argument', message)
    void reply.code(405).header('allow', methods.join(', ')).send(problemBody(error, request.id))
    return
  }
  const error = new SignalboxError('not_found', `${shown}: no such path; /docs lists them`)
  void reply.code(404).send(problemBody(error, request.id))
}

function patternOf(url: string): RegExp {
  const source = url
    .split('/')
    .map((segment) => {
      if (segment.startsWith(':')) return '[^/]+'
      return segment === '*' ? '.*' : segment.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
    })
    .join('/')
  return new RegExp(`^${source}$`)
}
