/** What a worker says over HTTP: `/metrics` for Prometheus, `/healthz` (it lives), `/readyz` (it takes jobs). */
import { createServer, type ServerResponse } from 'node:http'
import type { Clock } from '../../kernel/clock.ts'
import { listenTcp, type TcpAddress } from '../../server/listen.ts'
import { closeSoon } from '../../server/stop.ts'

export interface WorkerWebOptions {
  readonly address: TcpAddress
  readonly clock: Clock
  /** @returns the text of the metrics with its content type */
  readonly metrics: () => Promise<{ readonly text: string; readonly type: string }>
  readonly ready: () => boolean
  /** What was typed, for the remedy when the port is taken. */
  readonly command: string
}

const FAREWELL_MS = 500

export interface WorkerWeb {
  readonly address: TcpAddress
  close(): Promise<void>
}

/** @throws SignalboxError `address_in_use`, `permission_denied` */
export async function openWorkerWeb(options: WorkerWebOptions): Promise<WorkerWeb> {
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?', 1)[0] ?? ''
    answer(path, response, options).catch(() => response.destroy())
  })
  const address = await listenTcp(server, options.address, options.command, '--metrics')
  return { address, close: () => closeSoon(server, options.clock, FAREWELL_MS) }
}

async function answer(path: string, response: ServerResponse, options: WorkerWebOptions): Promise<void> {
  const say = (status: number, text: string, type = 'text/plain; charset=utf-8'): void => {
    response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(text)
  }
  if (path === '/healthz') return say(200, 'OK')
  if (path === '/readyz') return options.ready() ? say(200, 'OK') : say(503, 'not ready')
  if (path !== '/metrics') return say(404, 'there are /metrics, /healthz and /readyz')
  const { text, type } = await options.metrics()
  say(200, text, type)
}
