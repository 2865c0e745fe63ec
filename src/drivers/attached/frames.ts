/**
 * Frames on a socket: JSON, one a line.
 *
 * Invariants: a frame may come in any pieces, also cut within a character; bytes of an unfinished frame are bounded;
 * what is written in one turn, and in what it settles, leaves in one write.
 */
import type { Duplex } from 'node:stream'

const NEWLINE = 0x0a
/** So much is not held back for the end of the turn. */
const FLUSH_LENGTH = 64 * 1024

/** Splits what comes in into frames. */
export class FrameReader {
  /** May be changed between two frames. */
  maxBytes: number
  /** Of the frame that `push` gave last. */
  frameBytes = 0
  #parts: Buffer[] = []
  #bytes = 0

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** The frames that this chunk completes. @throws Error on a frame that is too long or no JSON. */
  *push(chunk: Buffer): Generator {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const frame = this.#complete(chunk, start, end)
      start = end + 1
      yield JSON.parse(frame)
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start))
  }

  #complete(chunk: Buffer, start: number, end: number): string {
    if (this.#bytes === 0 && end - start <= this.maxBytes) {
      this.frameBytes = end - start
      return chunk.toString('utf8', start, end)
    }
    this.#keep(chunk.subarray(start, end))
    this.frameBytes = this.#bytes
    const frame = Buffer.concat(this.#parts).toString('utf8')
    this.#parts = []
    this.#bytes = 0
    return frame
  }

  #keep(part: Buffer): void {
    this.#bytes += part.length
    if (this.#bytes > this.maxBytes) throw new Error(`a frame is longer than ${this.maxBytes} bytes`)
    this.#parts.push(part)
  }
}

/** Writes frames, gathering those of one turn. */
export class FrameWriter {
  readonly #socket: Duplex
  #pending = ''
  #scheduled = false

  constructor(socket: Duplex) {
    this.#socket = socket
  }

  /** @param frame JSON text */
  write(frame: string): void {
    if (!this.#socket.writable) return
    this.#pending += `${frame}\n`
    if (this.#pending.length >= FLUSH_LENGTH) this.flush()
    else this.#schedule()
  }

  /** Hands on what was gathered. */
  flush(): void {
    const text = this.#pending
    if (text === '') return
    this.#pending = ''
    if (this.#socket.writable) this.#socket.write(text)
  }

  /** Too much waits for the other side to read. */
  get full(): boolean {
    return this.#socket.writableNeedDrain
  }

  /** About how many bytes wait for the other side to read. */
  get queued(): number {
    return this.#pending.length + this.#socket.writableLength
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    // The microtasks of this turn may have more to say: whoever was answered just now asks again.
    queueMicrotask(() =>
      process.nextTick(() => {
        this.#scheduled = false
        this.flush()
      }),
    )
  }
}
