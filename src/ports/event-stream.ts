/**
 * Live streams: an answer of server-sent events that holds a snapshot at once and after each change. Shared by the faces of all
 * capabilities; it knows the reply only by what it needs of it.
 *
 * Invariants: snapshots are at least `COALESCE_MS` apart and never queue up (a slow client skips some); a quiet stream
 * says something every `HEARTBEAT_MS`, so that proxies keep it open; nothing is left behind when the client hangs up.
 */
import type { Clock, Timer } from '../kernel/clock.ts'

/** At most four snapshots a second. */
const COALESCE_MS = 250
const HEARTBEAT_MS = 15_000

/** What is needed of a server's reply; fastify's fits. */
export interface StreamReply {
  hijack(): unknown
  getHeaders(): Readonly<Record<string, unknown>>
  readonly raw: {
    writeHead(status: number, headers: Record<string, string>): unknown
    write(text: string): unknown
    end(): unknown
    destroy(): unknown
    readonly writableNeedDrain: boolean
    /** The client has hung up. */
    readonly closed: boolean
    on(event: 'drain', listener: () => void): unknown
    once(event: 'close' | 'error', listener: () => void): unknown
  }
}

export interface StreamOptions {
  readonly clock: Clock
  /** @returns stops listening */
  readonly onChange: (listener: () => void) => () => void
  /** A failure ends the stream; the client reconnects by itself. */
  readonly snapshot: () => Promise<{ readonly event: string; readonly data: unknown }>
  /** Time alone changes what is shown: with each heartbeat a snapshot goes out too. */
  readonly ages?: boolean
}

interface Asking {
  readonly method: string
  readonly headers: { readonly accept?: string | undefined }
}

export function wantsStream({ method, headers }: Asking): boolean {
  return method === 'GET' && headers.accept?.includes('text/event-stream') === true
}

/** Answers with a stream that ends when the client hangs up, or the server does. */
export function streamSnapshots(reply: StreamReply, options: StreamOptions): void {
  const { clock, onChange, snapshot, ages = false } = options
  reply.hijack()
  const { raw } = reply
  // It hung up while the answer was being prepared; nobody would say so again.
  if (raw.closed) return
  raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  let dirty = true
  let sending = false
  let closed = false
  let timer: Timer | undefined
  let heartbeat: Timer | undefined
  const send = async (): Promise<void> => {
    if (sending || !dirty || closed || raw.writableNeedDrain) return
    sending = true
    dirty = false
    try {
      const { event, data } = await snapshot()
      raw.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
    } catch {
      raw.end()
    }
    if (closed) return
    timer = clock.timer(COALESCE_MS, () => {
      sending = false
      void send()
    })
  }
  const changed = (): void => {
    dirty = true
    void send()
  }
  const beat = (): void => {
    raw.write(':\n\n')
    if (ages) changed()
    heartbeat = clock.timer(HEARTBEAT_MS, beat)
  }
  const stop = onChange(changed)
  raw.on('drain', () => void send())
  raw.once('close', () => {
    closed = true
    stop()
    timer?.cancel()
    heartbeat?.cancel()
  })
  raw.once('error', () => raw.destroy())
  heartbeat = clock.timer(HEARTBEAT_MS, beat)
  void send()
}
