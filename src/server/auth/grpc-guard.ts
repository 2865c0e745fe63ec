/**
 * Access on gRPC, enforced in one place, with the same two questions as on HTTP: who calls (`authorization: Bearer …` among the
 * call's metadata), and may they?
 *
 * Invariants: a call that is neither known nor open is refused (deny by default); who calls is judged before a request is
 * read, what they want before its handler sees it; a stream ends within seconds of its token.
 */
import { ServerInterceptingCall, type Metadata } from '@grpc/grpc-js'
import { SignalboxError } from '../../kernel/error.ts'
import type { CallGuard, GuardedCall } from '../../messages/grpc/access.ts'
import { statusOf } from '../../messages/grpc/unary.ts'
import { nameFilter, type Principal } from '../../ports/access.ts'
import { authorize, bearerOf, type Auth } from './auth.ts'

/** What answers everybody: health, and the description of the services. */
const OPEN = /^\/grpc\.(?:health\.v1\.Health|reflection\.v1(?:alpha)?\.ServerReflection)\//

export interface GrpcGuardOptions {
  readonly auth: Pick<Auth, 'authenticate' | 'whileValid'>
  /** By path. */
  readonly calls: ReadonlyMap<string, GuardedCall>
}

export function grpcGuard({ auth, calls }: GrpcGuardOptions): CallGuard {
  const authenticate = async (metadata: Metadata): Promise<Principal> =>
    auth.authenticate(bearerIn(metadata), false)
  return {
    interceptor: ({ path, requestStream }, call) => {
      if (OPEN.test(path)) return new ServerInterceptingCall(call)
      const guarded = calls.get(path)
      let caller: Principal | undefined
      let judged = false
      const refuse = (thrown: unknown): void => call.sendStatus(statusOf(thrown))
      const judge = (request: object): void => {
        if (judged && requestStream) return
        if (guarded === undefined || caller === undefined) throw unknownCall(path)
        for (const queue of guarded.queues(request)) authorize(caller, guarded.access, queue)
        judged = true
      }
      return new ServerInterceptingCall(call, {
        start: (next) =>
          next({
            onReceiveMetadata: (metadata, proceed) => {
              authenticate(metadata).then((principal) => {
                caller = principal
                proceed(metadata)
              }, refuse)
            },
            onReceiveMessage: (request, proceed) => {
              try {
                judge(request as object)
              } catch (error) {
                refuse(error)
                return
              }
              proceed(request)
            },
            onReceiveHalfClose: (proceed) => proceed(),
            onCancel: () => undefined,
          }),
        sendMessage: (answer, next) => {
          const { visible } = guarded ?? {}
          if (visible === undefined || caller === undefined) next(answer)
          else next(visible(answer as object, nameFilter(caller, 'messages')))
        },
      })
    },
    watch(metadata, ended) {
      const bearer = bearerIn(metadata)
      if (bearer === undefined) return () => undefined
      return auth.whileValid(bearer, () =>
        ended(
          new SignalboxError('unauthenticated', 'the token is no longer valid; open the stream with another'),
        ),
      )
    },
  }
}

/** @throws SignalboxError `unauthenticated` */
function bearerIn(metadata: Metadata): string | undefined {
  const [header] = metadata.get('authorization')
  return bearerOf(header?.toString())
}

function unknownCall(path: string): SignalboxError {
  return new SignalboxError('permission_denied', `${path}: nobody may call this here`)
}
