/**
 * What a command says on standard error while it waits and holds. On a terminal the waiting is one line that is rewritten;
 * elsewhere (a CI log) a new line when something changed, and one each 30 s as a sign of life; with `--json` each as one line
 * of JSON. Once a command runs its output is on the same terminal, so then there are whole lines only.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import type { SignalboxError } from '../kernel/error.ts'
import type { Output } from './context.ts'
import { printable } from './text.ts'

export interface LinesOptions {
  /** What lines begin with, and which key it has in JSON. */
  readonly subject: { readonly key: 'queue' | 'provider'; readonly name: string }
  readonly mode: ReportMode
  readonly stderr: Output
  readonly clock: Clock
}

export type ReportMode = 'lines' | 'json' | 'quiet'

export interface Facts {
  readonly event: string
  readonly [fact: string]: unknown
}

/** What is being waited for, told again and again. */
export interface Waiting {
  /** What changes when there is news. */
  readonly key: string
  /** @param agoMs since this was first told */
  readonly line: (agoMs: number) => string
  readonly facts: Facts
}

const REPEAT_MS = 30_000
const REFRESH_MS = 1_000

export class Lines {
  readonly #options: LinesOptions
  readonly #rewrites: boolean
  #waiting: { readonly what: Waiting; readonly at: number } | undefined
  #refresh: Timer | undefined
  /** What was last said of the kind that repeats, and when. */
  #said = { key: '', at: -Infinity }
  #lineIsOpen = false

  constructor(options: LinesOptions) {
    this.#options = options
    this.#rewrites = options.mode === 'lines' && options.stderr.isTTY === true
    // A reader of the reports that goes away must not take what is held with it.
    options.stderr.on?.('error', () => undefined)
  }

  /** Until `settle`, or something else is waited for. */
  waiting(what: Waiting): void {
    this.#waiting = { what, at: this.#options.clock.monotonic() }
    this.#tellWaiting()
  }

  /** Nothing is being waited for any more. */
  settle(): void {
    this.#refresh?.cancel()
    this.#waiting = undefined
  }

  /** Something worth a line of its own. */
  note(text: string, facts: Facts): void {
    const { subject, mode } = this.#options
    if (mode === 'quiet') return
    const line =
      mode === 'json'
        ? JSON.stringify({ [subject.key]: subject.name, ...facts })
        : printable(`${subject.name}: ${text}`)
    this.#print(line, false)
  }

  /** How it ended, for programs; people see the command's own output. */
  result(facts: Facts): void {
    if (this.#options.mode === 'json') this.note('', facts)
  }

  /** Said when it is new, and now and then while it stays so. */
  repeated(key: string, text: string, facts: Facts, everyMs = REPEAT_MS): void {
    const now = this.#options.clock.monotonic()
    if (key === this.#said.key && now - this.#said.at < everyMs) return
    this.#said = { key, at: now }
    this.note(text, facts)
  }

  /** A failure that does not end the run: said whatever the mode. */
  warn(error: SignalboxError, consequence: string): void {
    const text = `${this.withoutName(error.message)}; ${consequence}`
    const { subject, mode } = this.#options
    if (mode === 'quiet') this.#print(printable(`${subject.name}: ${text}`), false)
    else this.note(text, { event: 'warning', code: error.code, message: text })
  }

  /** Lines begin with the name already. */
  withoutName(message: string): string {
    const prefix = `${this.#options.subject.name}: `
    return message.startsWith(prefix) ? message.slice(prefix.length) : message
  }

  /** Leaves the terminal as a new line. */
  close(): void {
    this.settle()
    if (this.#lineIsOpen) this.#options.stderr.write('\n')
    this.#lineIsOpen = false
  }

  #tellWaiting(): void {
    if (this.#waiting === undefined) return
    const { clock, subject } = this.#options
    const { what, at } = this.#waiting
    const line = what.line(clock.monotonic() - at)
    if (!this.#rewrites) {
      this.repeated(what.key, line, what.facts)
      return
    }
    this.#print(`${subject.name}: ${line}`, true)
    this.#refresh?.cancel()
    this.#refresh = clock.timer(REFRESH_MS, () => this.#tellWaiting())
  }

  /** @param open the next print may overwrite it */
  #print(line: string, open: boolean): void {
    const { stderr } = this.#options
    if (!this.#rewrites) {
      stderr.write(`${line}\n`)
      return
    }
    const { columns = 0 } = stderr
    const shown = open ? line.slice(0, (columns > 0 ? columns : 80) - 1) : line
    stderr.write(`${this.#lineIsOpen ? '\r\u001B[K' : ''}${shown}${open ? '' : '\n'}`)
    this.#lineIsOpen = open
  }
}
