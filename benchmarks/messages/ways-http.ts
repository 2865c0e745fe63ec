/** Through the sidecar's HTTP/JSON twins, over a lean client: one connection a caller. */
import { Connection } from '../support/wire.ts'
import type { Way } from './client.ts'

export const httpWays: Readonly<Record<string, Way>> = {
  async 'HTTP receive + delete'({ address, queue, callers }, meter) {
    const root = `/api/v1/messages/${queue}`
    const caller = async (): Promise<void> => {
      const connection = await Connection.open(address)
      while (meter.left > 0) {
        const answer = await connection.request('POST', `${root}/receive`, { max: 10, waitMs: 1_000 })
        const { messages } = answer as { readonly messages: readonly { readonly receipt: string }[] }
        if (messages.length === 0) continue
        const receipts = messages.map(({ receipt }) => receipt)
        await connection.request('POST', `${root}/delete`, { receipts })
        meter.handled(receipts.length)
      }
    }
    await Promise.all(Array.from({ length: callers }, caller))
  },
}
