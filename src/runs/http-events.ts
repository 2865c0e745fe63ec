/**
 * The stream of one run, as server-sent events. Each event has an id, `<line>-<rev>`: the last log line and the last state of the run that the
 * client has seen by then. A client that comes back with it gets every later line once, and the run if it has changed.
 *
 *   event: run        RunView, at first and whenever the state changes
 *   event: progress   { rev, progress, claimUntil, logLines }, when only these changed
 *   event: log        LoggedLine
 *   event: end        {}, after the last line of a run that has ended; then the stream ends
 *
 * Who comes back after the end gets 204, upon which browsers stop asking.
 *
 * Lines are sent up to the number that the run's record says, before the record: so at the end none is missing.
 */
import type { FastifyReply } from 'fastify'
import { sleep, type Clock, type Timer } from '../kernel/clock.ts'
import type { RunView } from './api.ts'
import type { RunsService } from './service.ts'
import { hasEnded } from './state.ts'

export interface Seen {
  readonly line: number
  readonly rev: number
}

interface StreamContext {
  readonly runs: Pick<RunsService, 'get' | 'readLog' | 'follow'>
  readonly clock: Clock
  readonly id: string
  readonly after: Seen
}

const HEARTBEAT_MS = 15_000
/** A run that changes often is looked at so often at most. */
const LOOK_AGAIN_MS = 100
const PAGE = 500
const NOTHING: Seen = { line: 0, rev: 0 }

/** What a client that comes back has seen; from the beginning when the text is not ours. */
export function afterOf(text: string | readonly string[] | undefined): Seen {
  const [, line, rev] = /^(\d{1,9})-(\d{1,12})$/.exec(String(text ?? '')) ?? []
  return line === undefined || rev === undefined ? NOTHING : { line: Number(line), rev: Number(rev) }
}

/** Answers with the stream; resolves when it has begun. @throws SignalboxError `not_found`, before anything is sent */
export async function streamRun(reply: FastifyReply, context: StreamContext): Promise<void> {
  const { runs, id, after } = context
  const view = await runs.get(id)
  if (hasEnded(view.state) && after.rev === view.rev && after.line >= view.logLines) {
    await reply.code(204).send()
    return
  }
  reply.hijack()
  const { raw } = reply
  if (raw.closed) return
  raw.writeHead(200, {
    ...(reply.getHeaders() as Record<string, string>),
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  raw.flushHeaders()
  void new RunStream(raw, context).play()
}

type Raw = Pick<
  FastifyReply['raw'],
  'write' | 'end' | 'destroy' | 'once' | 'off' | 'writableNeedDrain' | 'closed' | 'writableEnded'
>

class RunStream {
  readonly #raw: Raw
  readonly #context: StreamContext
  readonly #gone = new AbortController()
  #line: number
  #rev: number
  #state: RunView['state'] | undefined
  #heartbeat: Timer | undefined

  constructor(raw: Raw, context: StreamContext) {
    this.#raw = raw
    this.#context = context
    this.#line = context.after.line
    this.#rev = context.after.rev
    raw.once('close', () => this.#gone.abort())
    raw.once('error', () => raw.destroy())
  }

  async play(): Promise<void> {
    const { runs, clock, id } = this.#context
    const { signal } = this.#gone
    this.#beat()
    try {
      for await (const _ of runs.follow(id, signal)) {
        if (await this.#look()) break
        await sleep(clock, LOOK_AGAIN_MS, signal)
      }
    } catch {
      // The client has gone, or the store does not answer; who wants to know on comes back.
    } finally {
      this.#heartbeat?.cancel()
      this.#gone.abort()
      if (!this.#raw.writableEnded) this.#raw.end()
    }
  }

  /** Sends what is new. @returns has the run ended? */
  async #look(): Promise<boolean> {
    const { runs, id } = this.#context
    const view = await runs.get(id)
    await this.#sendLines(view.logLines)
    if (view.rev !== this.#rev) {
      this.#rev = view.rev
      const { rev, state, progress, claimUntil, logLines } = view
      const whole = state !== this.#state
      this.#state = state
      await this.#send(whole ? 'run' : 'progress', whole ? view : { rev, progress, claimUntil, logLines })
    }
    if (!hasEnded(view.state)) return false
    await this.#send('end', {})
    return true
  }

  async #sendLines(upTo: number): Promise<void> {
    const { runs, id } = this.#context
    while (this.#line < upTo) {
      const { lines } = await runs.readLog(id, { after: this.#line, limit: PAGE })
      if (lines.length === 0) return
      for (const line of lines) {
        this.#line = line.n
        await this.#send('log', line)
      }
    }
  }

  async #send(event: string, data: unknown): Promise<void> {
    if (this.#raw.writableEnded) this.#gone.abort() // the server is stopping
    this.#gone.signal.throwIfAborted()
    this.#raw.write(`id: ${this.#line}-${this.#rev}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
    if (this.#raw.writableNeedDrain) await this.#drained()
  }

  #drained(): Promise<void> {
    return new Promise((resolve, reject) => {
      const { signal } = this.#gone
      const onGone = (): void => reject(signal.reason as Error)
      signal.addEventListener('abort', onGone, { once: true })
      this.#raw.once('drain', () => {
        signal.removeEventListener('abort', onGone)
        resolve()
      })
    })
  }

  #beat(): void {
    this.#heartbeat = this.#context.clock.timer(HEARTBEAT_MS, () => {
      if (!this.#raw.writableEnded) this.#raw.write(':\n\n')
      this.#beat()
    })
  }
}
