/** What operators see of the external trigger, and may do with it: `/api/v1/schedules-trigger`, for whoever may all schedules. */
import type { Access } from '../ports/access.ts'
import type { App } from './http.ts'
import {
  reconcileBody,
  reconcileView,
  removedView,
  triggerStatus,
  type TriggerControl,
} from './trigger-api.ts'

const tags = ['schedules']
const all = (role: Access['role']): { readonly access: Access } => ({ access: { role, noun: 'schedules' } })

export function triggerControlFace({
  control,
}: {
  readonly control: TriggerControl
}): (app: App) => Promise<void> {
  return async (app) => {
    app.route({
      method: 'GET',
      url: '/api/v1/schedules-trigger',
      config: all('viewer'),
      schema: {
        tags,
        operationId: 'showScheduleTrigger',
        summary: 'How the external trigger keeps the schedules, by the last comparison',
        response: { 200: triggerStatus },
      },
      handler: () => control.status(),
    })
    app.route({
      method: 'POST',
      url: '/api/v1/schedules-trigger/reconcile',
      config: all('admin'),
      schema: {
        tags,
        operationId: 'reconcileScheduleTrigger',
        summary: 'Compare everything at the external trigger now, and repair it',
        body: reconcileBody,
        response: { 200: reconcileView },
      },
      handler: ({ body, principal }) => control.reconcile(body, { by: principal.name }),
    })
    app.route({
      method: 'POST',
      url: '/api/v1/schedules-trigger/remove',
      config: all('admin'),
      schema: {
        tags,
        operationId: 'removeScheduleTrigger',
        summary: 'Remove everything of ours at the external trigger',
        response: { 200: removedView },
      },
      handler: ({ principal }) => control.remove({ by: principal.name }),
    })
  }
}
