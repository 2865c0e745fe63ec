/**
 * Bad weather in the Firestore fake: a share of its calls fails as the service's do, half of them before they have any
 * effect, half after it (the answer is lost); some wait; now and then every listener is cut off.
 */
import type { Random } from '../../../src/kernel/id.ts'
import type { FirestoreFake } from '../engines/firestore-fake/index.ts'
import { code, Status } from '../engines/firestore-fake/protocol.ts'

export interface FirestoreWeatherOptions {
  readonly random: Random
  /** Probability that a call fails. */
  readonly share: number
}

export interface FirestoreWeather {
  /** What was done to calls, by kind. */
  readonly failures: ReadonlyMap<string, number>
  readonly clear: () => void
}

/** What the service says when it did nothing; the last one may come after an effect, too. */
const BEFORE = [code.RESOURCE_EXHAUSTED, code.ABORTED, code.UNAVAILABLE] as const
const AFTER = [code.INTERNAL, code.UNAVAILABLE] as const
const DELAY = { share: 0.1, maxMs: 500 }
const CUT_EVERY_MS = 4_000

export function brewWeather(
  fake: FirestoreFake,
  { random, share }: FirestoreWeatherOptions,
): FirestoreWeather {
  const failures = new Map<string, number>()
  const { faults } = fake
  const pass = faults.pass.bind(faults)
  // oxlint-disable-next-line typescript/no-misused-promises -- stands in for the method
  faults.pass = async (method, when) => {
    await pass(method, when)
    if (when === 'before' && random.next() < DELAY.share) {
      const ms = random.next() * DELAY.maxMs
      await new Promise((wake) => setTimeout(wake, ms))
    }
    // The two chances add up to `share`.
    if (random.next() >= share / 2) return
    const codes: readonly number[] = when === 'before' ? BEFORE : AFTER
    const status = codes[Math.floor(random.next() * codes.length)] ?? code.UNAVAILABLE
    const kind = `${method} ${when}`
    failures.set(kind, (failures.get(kind) ?? 0) + 1)
    throw new Status(status, `injected ${when} the effect`)
  }
  const cuts = setInterval(() => fake.cutListeners(), CUT_EVERY_MS)
  return {
    failures,
    clear: () => {
      clearInterval(cuts)
      faults.pass = pass
    },
  }
}
