/** Hears of cancels of the runs that a worker has, where the records can tell at once; beats tell too, only later. */
import { sleep, type Clock } from '../../kernel/clock.ts'
import type { RunsApi } from '../../runs/api.ts'

interface Watched {
  readonly epoch: number
  readonly cancel: (reason: string) => void
}

const AGAIN_MS = 1_000

export class CancelWatch {
  readonly #runs: RunsApi
  readonly #clock: Clock
  readonly #worker: string
  readonly #watched = new Map<string, Watched>()
  #hangUp: AbortController | undefined

  constructor(runs: RunsApi, clock: Clock, worker: string) {
    this.#runs = runs
    this.#clock = clock
    this.#worker = worker
  }

  add(run: string, epoch: number, cancel: (reason: string) => void): void {
    this.#watched.set(run, { epoch, cancel })
    if (this.#hangUp !== undefined || this.#runs.watchCancel === undefined) return
    this.#hangUp = new AbortController()
    void this.#listen(this.#hangUp.signal)
  }

  /** It listens as long as there is a run. */
  remove(run: string): void {
    this.#watched.delete(run)
    if (this.#watched.size > 0) return
    this.#hangUp?.abort()
    this.#hangUp = undefined
  }

  async #listen(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        for await (const { id, epoch, reason } of this.#runs.watchCancel?.(this.#worker, signal) ?? []) {
          const watched = this.#watched.get(id)
          if (watched?.epoch === epoch) watched.cancel(reason)
        }
      } catch {
        // Beats tell meanwhile.
      }
      await sleep(this.#clock, AGAIN_MS, signal).catch(() => undefined)
    }
  }
}
