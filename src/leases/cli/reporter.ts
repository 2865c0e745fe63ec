/** What `lease run` and `lease acquire` say on standard error while they work; `cli/lines.ts` has how. */
import type { Output } from '../../cli/context.ts'
import { Lines, type ReportMode } from '../../cli/lines.ts'
import type { Clock } from '../../kernel/clock.ts'
import { formatDuration } from '../../kernel/duration.ts'
import { providerLabel, type ProviderName } from '../api.ts'
import type { LeaseProgress } from '../session.ts'

export interface ReporterOptions {
  readonly provider: ProviderName
  readonly mode: ReportMode
  readonly stderr: Output
  readonly clock: Clock
}

type Waiting = LeaseProgress & { readonly type: 'waiting' }

const URGENT_REPEAT_MS = 10_000

export class Reporter {
  readonly lines: Lines
  readonly #clock: Clock
  #startedAt: number

  constructor({ provider, mode, stderr, clock }: ReporterOptions) {
    const subject = { key: 'provider', name: providerLabel(provider) } as const
    this.lines = new Lines({ subject, mode, stderr, clock })
    this.#clock = clock
    this.#startedAt = clock.monotonic()
  }

  progress(event: LeaseProgress): void {
    const { lines } = this
    switch (event.type) {
      case 'waiting':
        this.#waiting(event)
        break
      case 'unreachable': {
        const { message } = event.error
        const facts = { event: 'unreachable', message, forMs: Math.round(event.forMs) }
        lines.settle()
        lines.repeated('unreachable', `${message}; still trying for ${formatDuration(event.forMs)}`, facts)
        break
      }
      case 'reachable':
        lines.repeated('reachable', 'reachable again', { event: 'reachable' })
        break
      case 'acquired':
        this.#acquired(event.fence, event.stacked)
        break
      case 'completed':
        lines.settle()
        lines.note(
          'completed: a higher group, which contains this one, has succeeded; nothing is left to do',
          {
            event: 'completed',
          },
        )
        break
      case 'renew_failed': {
        const { message } = event.error
        const facts = { event: 'renew_failed', message, leftMs: Math.round(event.leftMs) }
        const left = `the lease is safe for another ${formatDuration(event.leftMs)}`
        lines.repeated('renew_failed', `${message}; ${left}`, facts, URGENT_REPEAT_MS)
        break
      }
      case 'renewed':
        lines.repeated('renewed', 'reachable again, the lease is kept', { event: 'renewed' })
        break
      case 'release_failed':
      case 'withdraw_failed': {
        const { message } = event.error
        const rest =
          event.type === 'release_failed'
            ? 'trying again'
            : 'it forgets this request when it was silent for its ttl'
        lines.repeated(event.type, `could not tell the server: ${message}; ${rest}`, {
          event: event.type,
          message,
        })
        break
      }
    }
  }

  close(): void {
    this.lines.close()
  }

  #waiting({ admitted, reason, nextMs }: Waiting): void {
    const state = admitted ? 'waiting' : 'waiting to be let in'
    this.lines.waiting({
      key: `waiting ${admitted} ${withoutTimes(reason)}`,
      line: () => `${state} for ${this.#waited()}${reason === undefined ? '' : `: ${reason}`}`,
      facts: { event: 'waiting', admitted, reason, nextMs },
    })
  }

  #acquired(fence: number | undefined, stacked: readonly number[]): void {
    const facts = [
      ...(fence === undefined ? [] : [`fence ${fence}`]),
      ...(stacked.length === 0 ? [] : [`contains ${stacked.map((number) => `#${number}`).join(', ')}`]),
      `waited ${this.#waited()}`,
    ]
    this.lines.settle()
    this.lines.note(`the lease is ours (${facts.join(', ')})`, { event: 'acquired', fence, stacked })
  }

  #waited(): string {
    return formatDuration(this.#clock.monotonic() - this.#startedAt)
  }
}

/** A reason whose seconds count is no news each time. */
function withoutTimes(reason: string | undefined): string {
  return (reason ?? '').replaceAll(/\b\d+ ?(?:ms|s|m|min|h|d)\b/g, '')
}
