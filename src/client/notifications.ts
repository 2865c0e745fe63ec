/** `NotificationsApi` at a distance: the routes under `/api/v1/notifications`. The server knows who calls. */
import { z } from 'zod'
import {
  channelList,
  deliveryList,
  deliveryView,
  testAnswer,
  type NotificationsApi,
} from '../notifications/api.ts'
import { query } from './query.ts'
import type { Transport } from './transport.ts'

/** A test waits for its receiver. */
const TEST_WAIT_MS = 10_000

/** Works on the server that `transport` reaches. Each call is sent once. */
export function notificationsOver(transport: Transport): NotificationsApi {
  const path = (id: string): string => `/api/v1/notifications/${encodeURIComponent(id)}`
  return {
    async channels() {
      const call = { method: 'GET', path: '/api/v1/notification-channels', answer: channelList } as const
      return (await transport.call(call)).channels
    },
    list: (filter = {}) =>
      transport.call({
        method: 'GET',
        path: `/api/v1/notifications${query({ ...filter })}`,
        answer: deliveryList,
      }),
    get: (id) => transport.call({ method: 'GET', path: path(id), answer: deliveryView }),
    retry: (id) => transport.call({ method: 'POST', path: `${path(id)}/retry`, answer: deliveryView }),
    async discard(id) {
      await transport.call({ method: 'DELETE', path: path(id), answer: z.object({}) })
    },
    test: (channel) =>
      transport.call({
        method: 'POST',
        path: `/api/v1/notification-channels/${encodeURIComponent(channel)}/test`,
        answer: testAnswer,
        waitMs: TEST_WAIT_MS,
      }),
  }
}
