/** Medians with their range: machines are noisy, single figures mislead. */

export interface Summary {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly all: readonly number[]
}

export function summary(values: readonly number[]): Summary {
  const sorted = [...values].sort((a, b) => a - b)
  return {
    median: quantile(sorted, 0.5),
    min: sorted[0] ?? NaN,
    max: sorted.at(-1) ?? NaN,
    all: values.map(round),
  }
}

/** @param sorted ascending */
export function quantile(sorted: readonly number[], q: number): number {
  return round(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN)
}

function round(n: number): number {
  return Math.round(n * 1_000) / 1_000
}
