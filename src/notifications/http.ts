/**
 * The HTTP face: `/api/v1/notifications`. Whom the server notifies is the server's own affair, so its noun is `server`: viewers
 * look, admins act. Nothing here shows a secret.
 */
import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { Access } from '../ports/access.ts'
import {
  channelList,
  channelName,
  deliveryId,
  deliveryList,
  deliveryStates,
  deliveryView,
  testAnswer,
  type NotificationsApi,
} from './api.ts'

export type App = FastifyInstance<any, any, any, any, ZodTypeProvider> // oxlint-disable-line typescript/no-explicit-any -- raw server types differ by listener

const tags = ['notifications']
const by = (role: Access['role']): { readonly access: Access } => ({ access: { role, noun: 'server' } })
const oneParam = z.object({ id: deliveryId })
const channelParam = z.object({ channel: channelName })
const listQuery = z.object({
  state: z.enum(deliveryStates).optional().describe('Default pending.'),
  channel: channelName.optional(),
  limit: z.coerce.number().int().min(1).max(1_000).optional().describe('Default 50.'),
})

/** @example app.register(notificationsFace({ notifications })) */
export function notificationsFace(options: {
  readonly notifications: NotificationsApi
}): (app: App) => Promise<void> {
  return async (app) => {
    readingRoutes(app, options.notifications)
    actingRoutes(app, options.notifications)
  }
}

function readingRoutes(app: App, notifications: NotificationsApi): void {
  app.route({
    method: 'GET',
    url: '/api/v1/notifications',
    config: by('viewer'),
    schema: {
      tags,
      operationId: 'listNotifications',
      summary: 'Notifications that wait for their receiver, or were given up',
      querystring: listQuery,
      response: { 200: deliveryList },
    },
    handler: async ({ query: { state, channel, limit } }) =>
      notifications.list({
        ...(state === undefined ? {} : { state }),
        ...(channel === undefined ? {} : { channel }),
        ...(limit === undefined ? {} : { limit }),
      }),
  })
  app.route({
    method: 'GET',
    url: '/api/v1/notification-channels',
    config: by('viewer'),
    schema: {
      tags,
      operationId: 'listNotificationChannels',
      summary: 'The channels, and how each fares',
      response: { 200: channelList },
    },
    handler: async () => ({ channels: [...(await notifications.channels())] }),
  })
  app.route({
    method: 'GET',
    url: '/api/v1/notifications/:id',
    config: by('viewer'),
    schema: {
      tags,
      operationId: 'showNotification',
      summary: 'One of them, with what it says',
      params: oneParam,
      response: { 200: deliveryView },
    },
    handler: async ({ params: { id } }) => notifications.get(id),
  })
}

function actingRoutes(app: App, notifications: NotificationsApi): void {
  app.route({
    method: 'POST',
    url: '/api/v1/notifications/:id/retry',
    config: by('admin'),
    schema: {
      tags,
      operationId: 'retryNotification',
      summary: 'Try it at once, also if it was given up',
      params: oneParam,
      response: { 200: deliveryView },
    },
    handler: async ({ params: { id }, principal }) => notifications.retry(id, { by: principal.name }),
  })
  app.route({
    method: 'DELETE',
    url: '/api/v1/notifications/:id',
    config: by('admin'),
    schema: {
      tags,
      operationId: 'discardNotification',
      summary: 'Do not deliver it any more',
      params: oneParam,
      response: { 200: z.object({}) },
    },
    handler: async ({ params: { id }, principal }) => {
      await notifications.discard(id, { by: principal.name })
      return {}
    },
  })
  app.route({
    method: 'POST',
    url: '/api/v1/notification-channels/:channel/test',
    config: by('admin'),
    schema: {
      tags,
      operationId: 'testNotificationChannel',
      summary: 'Send a test message and wait for what becomes of it',
      params: channelParam,
      response: { 200: testAnswer },
    },
    handler: async ({ params: { channel }, principal }) =>
      notifications.test(channel, { by: principal.name }),
  })
}
