/** A well-behaved client beside bad ones: what it sends comes to it, and how long that takes. And the memory of who serves it. */
import { readFileSync } from 'node:fs'
import { newClient, send, Stream, type Sidecar } from './sidecar.ts'

const PAUSE_MS = 50

export interface Polite {
  /** Messages that went all the way: sent, received, acknowledged. */
  readonly rounds: number
  /** The slowest of them, milliseconds. */
  readonly slowestMs: number
  stop(): Promise<void>
}

export function politeClient({ port }: Sidecar, queue: string): Polite {
  const client = newClient(`127.0.0.1:${port}`)
  const stream = new Stream(client, { queue, credit: 10 })
  stream.ackAll()
  let rounds = 0
  let slowestMs = 0
  const stopped = new AbortController()
  const work = (async () => {
    while (!stopped.signal.aborted) {
      const before = performance.now()
      const seen = stream.acked.length
      await send(client, [`polite ${rounds}`], queue)
      while (stream.acked.length === seen) await new Promise((wake) => setTimeout(wake, 2))
      slowestMs = Math.max(slowestMs, performance.now() - before)
      rounds += 1
      await new Promise((wake) => setTimeout(wake, PAUSE_MS))
    }
  })()
  return {
    get rounds() {
      return rounds
    },
    get slowestMs() {
      return slowestMs
    },
    async stop() {
      stopped.abort()
      await work
    },
  }
}

const MIB = 1024

/** Resident memory, MiB; `peak` since it started. Linux only: elsewhere 0. */
export function memoryOf(pid: number): { readonly now: number; readonly peak: number } {
  if (process.platform !== 'linux') return { now: 0, peak: 0 }
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const field = (name: string): number =>
    Math.round(Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) / MIB)
  return { now: field('VmRSS'), peak: field('VmHWM') }
}
