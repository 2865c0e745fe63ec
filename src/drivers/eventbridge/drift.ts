/** One object that is not as it should be, and what became of it. */
import type { ReconcileOptions, TriggerDrift } from '../../ports/trigger.ts'

/** Repairs it, if that is wanted; a repair that fails is told, not thrown. @param mend makes it as it should be */
export async function repaired(
  found: Omit<TriggerDrift, 'repaired' | 'error'>,
  { repair, signal }: ReconcileOptions,
  mend: () => Promise<unknown>,
): Promise<TriggerDrift> {
  if (!repair) return { ...found, repaired: false }
  try {
    await mend()
    return { ...found, repaired: true }
  } catch (error) {
    signal?.throwIfAborted()
    return { ...found, repaired: false, error: messageOf(error) }
  }
}

/** What could not even be looked at. @throws the signal's reason once it aborts */
export function unseen(
  object: TriggerDrift['object'],
  name: string,
  error: unknown,
  { signal }: ReconcileOptions,
): TriggerDrift {
  signal?.throwIfAborted()
  const detail = 'it could not be looked at'
  return { object, name, problem: 'not_ready', detail, repaired: false, error: messageOf(error) }
}

/** An object of ours by name, but not by its mark. */
export function foreign(object: TriggerDrift['object'], name: string, setting: string): TriggerDrift {
  return {
    object,
    name,
    problem: 'foreign',
    detail: `it does not carry our mark`,
    repaired: false,
    error: `not touched; take it over with 'signalbox schedule eventbridge reconcile --adopt', or ${setting}`,
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
