/** What a test may do to the fake's calls: let them fail, before or after their effect, or stop them on the way. */
import { Status } from './protocol.ts'

export type Method = 'BatchGetDocuments' | 'RunQuery' | 'BeginTransaction' | 'Commit' | 'Rollback' | 'Listen'
type When = 'before' | 'after'

export interface Fault {
  /** The gRPC status code to answer with. */
  readonly code: number
  readonly details?: string
  /** Before the call has any effect (default), or after: then its answer is lost. */
  readonly when?: When
  /** How many calls; default 1. */
  readonly times?: number
}

/** A call stopped on its way. */
export interface Hold {
  /** Resolves once a call has stopped here. */
  readonly reached: Promise<void>
  release(): void
}

interface Pending {
  readonly method: Method
  readonly when: When
  readonly stop: () => Promise<void> | void
}

export class Faults {
  readonly #pending: Pending[] = []

  /** The next calls of this method fail. */
  fail(method: Method, { code, details = 'injected', when = 'before', times = 1 }: Fault): void {
    const stop = (): void => {
      throw new Status(code, details)
    }
    for (let i = 0; i < times; i++) this.#pending.push({ method, when, stop })
  }

  /** The next call of this method stops. */
  hold(method: Method, when: When): Hold {
    const reached = Promise.withResolvers<void>()
    const released = Promise.withResolvers<void>()
    const stop = (): Promise<void> => {
      reached.resolve()
      return released.promise
    }
    this.#pending.push({ method, when, stop })
    return { reached: reached.promise, release: released.resolve }
  }

  /** A call passes this point. @throws Status */
  async pass(method: Method, when: When): Promise<void> {
    const index = this.#pending.findIndex((p) => p.method === method && p.when === when)
    if (index >= 0) await this.#pending.splice(index, 1)[0]?.stop()
  }
}
