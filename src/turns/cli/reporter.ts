/** What `turn run` says on standard error while it works; `cli/lines.ts` has how. */
import type { Output } from '../../cli/context.ts'
import { Lines, type Facts, type ReportMode } from '../../cli/lines.ts'
import type { Clock } from '../../kernel/clock.ts'
import { formatDuration } from '../../kernel/duration.ts'
import type { SignalboxError } from '../../kernel/error.ts'
import type { MemberView } from '../api.ts'
import type { Turn, TurnProgress } from '../session.ts'
import { waitingLine } from './waiting-line.ts'

export interface ReporterOptions {
  readonly queue: string
  readonly mode: ReportMode
  readonly stderr: Output
  readonly clock: Clock
}

const URGENT_REPEAT_MS = 10_000

export class Reporter {
  readonly lines: Lines

  constructor({ queue, mode, stderr, clock }: ReporterOptions) {
    this.lines = new Lines({ subject: { key: 'queue', name: queue }, mode, stderr, clock })
  }

  progress(event: TurnProgress): void {
    const { lines } = this
    switch (event.type) {
      case 'waiting':
        this.#waiting(event.view)
        break
      case 'unreachable':
        lines.settle()
        lines.repeated(
          'unreachable',
          `${event.error.message}; still trying for ${formatDuration(event.forMs)}`,
          {
            event: 'unreachable',
            message: event.error.message,
            forMs: Math.round(event.forMs),
          },
        )
        break
      case 'reachable':
        lines.repeated('reachable', 'reachable again', { event: 'reachable' })
        break
      case 'beat_failed': {
        const left = `the turn is safe for another ${formatDuration(event.leftMs)}`
        const facts = {
          event: 'beat_failed',
          message: event.error.message,
          leftMs: Math.round(event.leftMs),
        }
        lines.repeated('beat_failed', `${event.error.message}; ${left}`, facts, URGENT_REPEAT_MS)
        break
      }
      case 'beat_restored':
        lines.repeated('beat_restored', 'reachable again, the turn is kept', { event: 'beat_restored' })
        break
      case 'leave_failed':
        lines.repeated(
          'leave_failed',
          `could not tell the server: ${event.error.message}; the place lapses by itself`,
          {
            event: 'leave_failed',
            message: event.error.message,
          },
        )
        break
    }
  }

  granted({ id, ticket, fence, waitedMs, positionAtJoin }: Turn): void {
    this.lines.settle()
    this.lines.note(`your turn (fence ${fence}, waited ${formatDuration(waitedMs)})`, {
      event: 'granted',
      id,
      ticket,
      fence,
      waitedMs: Math.round(waitedMs),
      positionAtJoin,
    })
  }

  note(text: string, facts: Facts): void {
    this.lines.note(text, facts)
  }

  warn(error: SignalboxError, consequence: string): void {
    this.lines.warn(error, consequence)
  }

  close(): void {
    this.lines.close()
  }

  #waiting(view: MemberView): void {
    const { id, ticket, position, positionExact, holders, estimatedWaitMs } = view
    this.lines.waiting({
      key: `waiting ${position} ${holders.map((holder) => holder.id).join(' ')}`,
      line: (agoMs) => waitingLine(view, agoMs),
      facts: { event: 'waiting', id, ticket, position, positionExact, holders, estimatedWaitMs },
    })
  }
}
