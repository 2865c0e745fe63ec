/** What people see of the external trigger, and what they may do with it. Part of `api.ts`. */
import { z } from 'zod'

const drift = z.object({
  object: z.enum(['connection', 'destination', 'bus_rule', 'group', 'rule', 'target']),
  name: z.string(),
  schedule: z.string().optional().describe('Whose rule it is.'),
  problem: z.enum(['missing', 'changed', 'superfluous', 'foreign', 'not_ready']),
  detail: z.string().describe('What differs.'),
  repaired: z.boolean(),
  error: z.string().optional().describe('Why it could not be repaired, or is not touched.'),
})

export const triggerStatus = z.object({
  kind: z.enum(['eventbridge', 'eventbridge-scheduler']),
  facts: z
    .record(z.string(), z.string())
    .describe('Region, names of the shared objects, the URL that is called.'),
  checkedAt: z.string().optional().describe('When all was compared last, by this server or another one.'),
  error: z.string().optional().describe('Why the last comparison failed as a whole.'),
  removed: z
    .object({ at: z.string(), by: z.string() })
    .optional()
    .describe('Everything was removed there: nothing is put until it is reconciled by hand.'),
  drift: z.array(drift).describe('What the last comparison found, and what became of it; 200 at most.'),
  schedules: z
    .object({
      in_sync: z.number().int(),
      pending: z.number().int(),
      failed: z.number().int(),
      refused: z.number().int(),
    })
    .describe('How many are in which state.'),
})
export type TriggerStatus = z.infer<typeof triggerStatus>

export const reconcileBody = z.strictObject({
  dryRun: z.boolean().optional().describe('Only look.'),
  adopt: z.boolean().optional().describe('Take over what has a name that is needed without our mark.'),
})
export type Reconcile = z.infer<typeof reconcileBody>

export const reconcileView = z.object({ drift: z.array(drift) })
export type ReconcileView = z.infer<typeof reconcileView>

export const removedView = z.object({ removed: z.array(z.string()).describe('What was removed there.') })
export type RemovedView = z.infer<typeof removedView>

/** @throws SignalboxError `not_found` where no external trigger is configured; `unavailable`, `permission_denied`, … of AWS */
export interface TriggerControl {
  status(): Promise<TriggerStatus>
  /** Compares everything now, and repairs it but for a dry run. */
  reconcile(request: Reconcile, options: { readonly by: string }): Promise<ReconcileView>
  /** Removes all that is ours there; nothing is put again until `reconcile` is called. */
  remove(options: { readonly by: string }): Promise<RemovedView>
}
