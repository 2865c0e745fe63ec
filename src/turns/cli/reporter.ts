/**
 * What `turn run` says on standard error while it works. On a terminal the waiting is one line that is rewritten; elsewhere
 * (a CI log) a new line when something changed, and one each 30 s as a sign of life; with `--json` each as one line
 * of JSON. Once the command runs its output is on the same terminal, so then there are whole lines only.
 */
import type { Output } from '../../cli/context.ts'
import type { Clock, Timer } from '../../kernel/clock.ts'
import { formatDuration } from '../../kernel/duration.ts'
import type { SignalboxError } from '../../kernel/error.ts'
import type { MemberView } from '../api.ts'
import type { Turn, TurnProgress } from '../session.ts'
import type { RunRequest } from './run-request.ts'
import { printable } from './text.ts'
import { waitingLine } from './waiting-line.ts'

export interface ReporterOptions {
  readonly queue: string
  readonly mode: RunRequest['report']
  readonly stderr: Output
  readonly clock: Clock
}

interface Facts {
  readonly event: string
  readonly [fact: string]: unknown
}

const REPEAT_MS = 30_000
const URGENT_REPEAT_MS = 10_000
const REFRESH_MS = 1_000

export class Reporter {
  readonly #options: ReporterOptions
  readonly #rewrites: boolean
  #waiting: { readonly view: MemberView; readonly at: number } | undefined
  #refresh: Timer | undefined
  /** What was last said of the kind that repeats, and when. */
  #said = { key: '', at: -Infinity }
  #lineIsOpen = false

  constructor(options: ReporterOptions) {
    this.#options = options
    this.#rewrites = options.mode === 'lines' && options.stderr.isTTY === true
    // A reader of the reports that goes away must not take the turn with it.
    options.stderr.on?.('error', () => undefined)
  }

  progress(event: TurnProgress): void {
    switch (event.type) {
      case 'waiting':
        this.#waiting = { view: event.view, at: this.#options.clock.monotonic() }
        this.#tellWaiting()
        break
      case 'unreachable':
        this.#stopRefreshing()
        this.#repeated(
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
        this.#repeated('reachable', 'reachable again', { event: 'reachable' })
        break
      case 'beat_failed': {
        const left = `the turn is safe for another ${formatDuration(event.leftMs)}`
        this.#repeated('beat_failed', `${event.error.message}; ${left}`, {
          event: 'beat_failed',
          message: event.error.message,
          leftMs: Math.round(event.leftMs),
        })
        break
      }
      case 'beat_restored':
        this.#repeated('beat_restored', 'reachable again, the turn is kept', { event: 'beat_restored' })
        break
      case 'leave_failed':
        this.#repeated(
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
    this.#stopRefreshing()
    this.note(`your turn (fence ${fence}, waited ${formatDuration(waitedMs)})`, {
      event: 'granted',
      id,
      ticket,
      fence,
      waitedMs: Math.round(waitedMs),
      positionAtJoin,
    })
  }

  /** Something worth a line of its own. */
  note(text: string, facts: Facts): void {
    const { queue, mode } = this.#options
    if (mode === 'quiet') return
    this.#print(mode === 'json' ? JSON.stringify({ queue, ...facts }) : printable(`${queue}: ${text}`), false)
  }

  /** How it ended, for programs; people see the command's own output. */
  result(facts: Facts): void {
    if (this.#options.mode === 'json') this.note('', facts)
  }

  /** A failure that does not end the run: said whatever the mode. */
  warn(error: SignalboxError, consequence: string): void {
    const { queue, mode } = this.#options
    const prefix = `${queue}: `
    const message = error.message.startsWith(prefix) ? error.message.slice(prefix.length) : error.message
    const text = `${message}; ${consequence}`
    if (mode === 'quiet') this.#print(printable(prefix + text), false)
    else this.note(text, { event: 'warning', code: error.code, message: text })
  }

  /** Leaves the terminal as a new line. */
  close(): void {
    this.#stopRefreshing()
    if (this.#lineIsOpen) this.#write('\n')
    this.#lineIsOpen = false
  }

  #tellWaiting(): void {
    if (this.#waiting === undefined) return
    const { clock, queue } = this.#options
    const { view, at } = this.#waiting
    const line = waitingLine(view, clock.monotonic() - at)
    if (this.#rewrites) {
      this.#print(`${queue}: ${line}`, true)
      this.#refresh?.cancel()
      this.#refresh = clock.timer(REFRESH_MS, () => this.#tellWaiting())
      return
    }
    const { id, ticket, position, positionExact, holders, estimatedWaitMs } = view
    const key = `waiting ${position} ${holders.map((holder) => holder.id).join(' ')}`
    this.#repeated(key, line, {
      event: 'waiting',
      id,
      ticket,
      position,
      positionExact,
      holders,
      estimatedWaitMs,
    })
  }

  /** Said when it is new, and now and then while it stays so. */
  #repeated(key: string, text: string, facts: Facts): void {
    const now = this.#options.clock.monotonic()
    const everyMs = key === 'beat_failed' ? URGENT_REPEAT_MS : REPEAT_MS
    if (key === this.#said.key && now - this.#said.at < everyMs) return
    this.#said = { key, at: now }
    this.note(text, facts)
  }

  #stopRefreshing(): void {
    this.#refresh?.cancel()
    this.#waiting = undefined
  }

  /** @param open the next print may overwrite it */
  #print(line: string, open: boolean): void {
    if (!this.#rewrites) {
      this.#write(`${line}\n`)
      return
    }
    const { columns = 0 } = this.#options.stderr
    const shown = open ? line.slice(0, (columns > 0 ? columns : 80) - 1) : line
    this.#write(`${this.#lineIsOpen ? '\r\u001B[K' : ''}${shown}${open ? '' : '\n'}`)
    this.#lineIsOpen = open
  }

  #write(text: string): void {
    this.#options.stderr.write(text)
  }
}
