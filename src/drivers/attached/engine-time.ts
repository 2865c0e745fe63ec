/**
 * Engine time as learnt from answers (Cristian, "Probabilistic clock synchronization", 1989): an answer that took a
 * round trip of r and says t came at t + r/2, give or take r/2 and the resolution of t.
 *
 * Invariants: the tightest sample counts until a newer one contradicts it (then the clock has jumped) or it has aged;
 * the monotonic clock carries it on, and its uncertainty grows with age.
 */

/** How far two clocks of one machine may drift apart, per millisecond; generous. */
const DRIFT = 1e-4
/** The owner tells whole milliseconds: its clock may be about to turn. */
const RESOLUTION_MS = 1

interface Sample {
  /** Engine time minus monotonic time. */
  readonly offset: number
  readonly uncertaintyMs: number
  readonly at: number
}

export class EngineTime {
  #best: Sample | undefined

  /**
   * Learns from an answer.
   * @param sentAt monotonic time of the request. @param receivedAt monotonic time of its answer.
   * @param ms and `uncertaintyMs`: what the answer says.
   */
  learn(sentAt: number, receivedAt: number, ms: number, uncertaintyMs: number): void {
    const half = (receivedAt - sentAt) / 2
    const sample = {
      offset: ms + half - receivedAt,
      uncertaintyMs: half + uncertaintyMs + RESOLUTION_MS,
      at: receivedAt,
    }
    const best = this.#best
    if (best !== undefined) {
      const aged = best.uncertaintyMs + DRIFT * (receivedAt - best.at)
      const agree = Math.abs(best.offset - sample.offset) <= aged + sample.uncertaintyMs
      if (agree && aged < sample.uncertaintyMs) return
    }
    this.#best = sample
  }

  /** Engine time now, in whole milliseconds; undefined before the first sample. */
  at(monotonic: number): { readonly ms: number; readonly uncertaintyMs: number } | undefined {
    const best = this.#best
    if (best === undefined) return undefined
    const exact = monotonic + best.offset
    // Whole, since it ends up in keys.
    const ms = Math.round(exact)
    return { ms, uncertaintyMs: best.uncertaintyMs + DRIFT * (monotonic - best.at) + Math.abs(ms - exact) }
  }

  /** Age of the sample in use. */
  age(monotonic: number): number {
    return this.#best === undefined ? Infinity : monotonic - this.#best.at
  }
}
