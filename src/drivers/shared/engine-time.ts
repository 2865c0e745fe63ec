/**
 * Engine time as learnt from answers (Cristian, "Probabilistic clock synchronization", 1989): an answer that took a
 * round trip of r and says t came at t + r/2, give or take r/2 and the resolution of t.
 *
 * Invariants: samples that agree are taken together, so that time is known as well as where their intervals meet; one
 * that contradicts what is known replaces it (the clock has jumped); the monotonic clock carries it on, and its
 * uncertainty grows with age.
 */

/** How far two clocks of one machine may drift apart, per millisecond; generous. */
const DRIFT = 1e-4
/** For engines that tell whole milliseconds: the clock may be about to turn. */
const DEFAULT_RESOLUTION_MS = 1

interface Knowledge {
  /** Engine time minus monotonic time. */
  readonly offset: number
  readonly uncertaintyMs: number
  readonly at: number
}

export class EngineTime {
  readonly #resolutionMs: number
  #known: Knowledge | undefined

  /** @param resolutionMs what every answer may be off by, beside what it says of itself. */
  constructor(resolutionMs: number = DEFAULT_RESOLUTION_MS) {
    this.#resolutionMs = resolutionMs
  }

  /**
   * Learns from an answer.
   * @param sentAt monotonic time of the request. @param receivedAt monotonic time of its answer.
   * @param ms and `uncertaintyMs`: what the answer says.
   */
  learn(sentAt: number, receivedAt: number, ms: number, uncertaintyMs: number): void {
    const half = (receivedAt - sentAt) / 2
    const offset = ms + half - receivedAt
    const uncertainty = half + uncertaintyMs + this.#resolutionMs
    let low = offset - uncertainty
    let high = offset + uncertainty
    const known = this.#known
    if (known !== undefined) {
      const aged = known.uncertaintyMs + DRIFT * (receivedAt - known.at)
      const [knownLow, knownHigh] = [known.offset - aged, known.offset + aged]
      if (knownLow <= high && low <= knownHigh) {
        low = Math.max(low, knownLow)
        high = Math.min(high, knownHigh)
      }
    }
    this.#known = { offset: (low + high) / 2, uncertaintyMs: (high - low) / 2, at: receivedAt }
  }

  /** Engine time now, in whole milliseconds; undefined before the first sample. */
  at(monotonic: number): { readonly ms: number; readonly uncertaintyMs: number } | undefined {
    const known = this.#known
    if (known === undefined) return undefined
    const exact = monotonic + known.offset
    // Whole, since it ends up in keys.
    const ms = Math.round(exact)
    return { ms, uncertaintyMs: known.uncertaintyMs + DRIFT * (monotonic - known.at) + Math.abs(ms - exact) }
  }

  /** Time since the last answer. */
  age(monotonic: number): number {
    return this.#known === undefined ? Infinity : monotonic - this.#known.at
  }
}
