/** What runs around every job of a worker, the first outermost, as in koa: each calls `next`, once, and may look at what it throws. */
import { SignalboxError } from '../kernel/error.ts'
import type { JobContext } from './api.ts'

/**
 * @example
 * const timed: Middleware = async (context, next) => {
 *   const result = await tracer.span(context.job, next)
 *   return result
 * }
 */
export type Middleware<Deps = unknown> = (
  context: JobContext<Deps> & { readonly input: unknown },
  next: () => Promise<unknown>,
) => Promise<unknown>

type Context = JobContext & { readonly input: unknown }

/** One function of all of them. @param run the job itself */
export function compose(
  middleware: readonly Middleware<never>[],
  run: (context: Context) => unknown,
): (context: Context) => unknown {
  if (middleware.length === 0) return run
  return (context) => {
    const step = async (at: number): Promise<unknown> => {
      const layer = middleware[at]
      if (layer === undefined) return run(context)
      let called = false
      return layer(context as never, () => {
        if (called)
          return Promise.reject(new SignalboxError('internal', 'middleware: next() was called twice'))
        called = true
        return step(at + 1)
      })
    }
    return step(0)
  }
}
