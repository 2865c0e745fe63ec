/**
 * A worker's claim on a run: beats keep it and hear of a cancel; progress and log lines go to the record in between.
 *
 * Invariants: when no beat was answered within the lease, counted from when it was sent, the claim counts as lost, whatever the
 * record says; nothing that a job says of itself can make a beat or the end of its attempt be refused, or fill the memory.
 */
import { isTransient } from '../../kernel/attempt.ts'
import { sleep, type Clock, type Timer } from '../../kernel/clock.ts'
import { toSignalboxError, type SignalboxError } from '../../kernel/error.ts'
import type { Random } from '../../kernel/id.ts'
import {
  MAX_LOG_LINES,
  type ClaimView,
  type FinishView,
  type LogLine,
  type Outcome,
  type Progress,
  type RunsApi,
} from '../../runs/api.ts'
import { bounded, boundedProgress } from '../../runs/new-run.ts'
import type { Listener } from './context.ts'

export interface ClaimParts {
  readonly runs: RunsApi
  readonly clock: Clock
  readonly random: Random
  /** The worker's name. */
  readonly worker: string
  readonly leaseMs: number
  readonly trouble: (what: string, error: SignalboxError) => void
}

export type Claimed = Extract<ClaimView, { readonly claimed: true }>

/** Beats in one lease: every 5 s with the usual 30 s. */
const BEATS = 6
const TELL_MS = 500
const MAX_LINES = 200
const RETRY_MS = 200
/** Of a line; the record cuts it too, but it has to come there. */
const MAX_TEXT = 8_000

export class RunClaim implements Listener {
  readonly id: string
  readonly view: Claimed
  readonly #parts: ClaimParts
  #onStop: (reason: 'cancelled' | 'lost', note?: string) => void = () => undefined
  /** Monotonic. */
  #heldUntil: number
  #timer: Timer | undefined
  #beatAt = Infinity
  #progress: Progress | undefined
  #lines: LogLine[] = []
  #logged = 0
  /** Lines so far; a run keeps no more than so many of all its attempts. */
  #said = 0
  #telling: Promise<void> | undefined
  #ended = false
  #finishing = false

  private constructor(parts: ClaimParts, id: string, view: Claimed, sentAt: number) {
    this.#parts = parts
    this.id = id
    this.view = view
    this.#heldUntil = sentAt + parts.leaseMs
  }

  /** @returns the claim, or why there is none. @throws SignalboxError */
  static async open(
    parts: ClaimParts,
    id: string,
  ): Promise<RunClaim | Extract<ClaimView, { readonly claimed: false }>> {
    const { runs, worker, leaseMs, clock, random } = parts
    const nonce = random.id()
    const sentAt = clock.monotonic()
    const view = await repeated(clock, sentAt + leaseMs / 2, () => runs.claim(id, { worker, leaseMs, nonce }))
    return view.claimed ? new RunClaim(parts, id, view, sentAt) : view
  }

  /** Begins to beat. */
  keep(onStop: (reason: 'cancelled' | 'lost', note?: string) => void): void {
    this.#onStop = onStop
    this.#beatIn(this.#parts.leaseMs / BEATS)
  }

  log(line: LogLine): void {
    if (this.#finishing || this.#ended || this.#said === MAX_LOG_LINES) return
    this.#said += 1
    this.#lines.push(
      line.text.length > MAX_TEXT ? { ...line, text: `${line.text.slice(0, MAX_TEXT)}…` } : line,
    )
    if (this.#lines.length === 1) this.#parts.clock.timer(TELL_MS, () => this.#tell(), { unref: true })
    else if (this.#lines.length === MAX_LINES) this.#tell()
  }

  progress(progress: Progress): void {
    if (this.#progress === undefined) this.#beatIn(TELL_MS)
    this.#progress = boundedProgress(progress)
  }

  /** Ends the attempt. @throws SignalboxError when the record could not be reached within the lease */
  async finish(outcome: Outcome): Promise<FinishView> {
    const { runs, clock } = this.#parts
    const end = bounded(outcome)
    this.#finishing = true
    this.#tell()
    while (this.#telling !== undefined) await this.#telling
    this.#ended = true
    this.#timer?.cancel()
    if (this.#progress !== undefined) await this.#lastProgress(this.#progress)
    return repeated(clock, this.#heldUntil, () => runs.finish(this.id, this.view.epoch, end))
  }

  #beatIn(ms: number): void {
    const { clock } = this.#parts
    const at = clock.monotonic() + ms
    if (this.#ended || at >= this.#beatAt) return
    this.#timer?.cancel()
    this.#beatAt = at
    this.#timer = clock.timer(ms, () => void this.#beat())
  }

  async #beat(): Promise<void> {
    const { runs, clock, leaseMs } = this.#parts
    this.#beatAt = Infinity
    if (this.#ended) return
    const sentAt = clock.monotonic()
    if (sentAt >= this.#heldUntil) {
      this.#lose()
      return
    }
    const progress = this.#progress
    this.#progress = undefined
    // Not even an answer that never comes keeps it from knowing.
    const late = clock.timer(this.#heldUntil - sentAt, () => this.#lose(), { unref: true })
    try {
      const answer = await runs.beat(this.id, this.view.epoch, {
        leaseMs,
        ...(progress === undefined ? {} : { progress }),
      })
      if (!answer.held) this.#lose()
      else {
        this.#heldUntil = sentAt + leaseMs
        if (answer.cancel !== undefined) this.#onStop('cancelled', answer.cancel)
        this.#beatIn(leaseMs / BEATS)
      }
    } catch (error) {
      this.#progress ??= progress
      this.#parts.trouble('a beat failed', toSignalboxError(error))
      this.#beatIn(Math.min(leaseMs / 12, Math.max(0, this.#heldUntil - clock.monotonic())))
    } finally {
      late.cancel()
    }
  }

  /** What was said since the last beat. It is no reason to keep the end of the attempt waiting. */
  async #lastProgress(progress: Progress): Promise<void> {
    const { runs, leaseMs } = this.#parts
    try {
      await runs.beat(this.id, this.view.epoch, { leaseMs, progress })
    } catch (error) {
      this.#parts.trouble('the last progress was not kept', toSignalboxError(error))
    }
  }

  #lose(): void {
    if (this.#ended) return
    this.#ended = true
    this.#onStop('lost')
  }

  /** One call at a time, in order. */
  #tell(): void {
    if (this.#lines.length === 0 || this.#telling !== undefined) return
    const lines = this.#lines
    this.#lines = []
    this.#telling = this.#write(lines).finally(() => {
      this.#telling = undefined
      this.#tell()
    })
  }

  async #write(lines: readonly LogLine[]): Promise<void> {
    const { runs, clock } = this.#parts
    const from = this.#logged
    this.#logged += lines.length
    try {
      await repeated(clock, this.#heldUntil, () => runs.log(this.id, this.view.epoch, lines, from))
    } catch (error) {
      this.#parts.trouble('log lines were not kept', toSignalboxError(error))
    }
  }
}

/** Calls again what failed for a while, until then (monotonic). */
async function repeated<T>(clock: Clock, until: number, call: () => Promise<T>): Promise<T> {
  for (let delayMs = RETRY_MS; ; delayMs *= 2) {
    try {
      return await call()
    } catch (error) {
      if (!isTransient(error) || clock.monotonic() + delayMs >= until) throw error
      await sleep(clock, delayMs)
    }
  }
}
