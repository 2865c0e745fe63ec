/**
 * Frames on a socket: JSON, one a line.
 *
 * Invariants: a frame may come in any pieces, also cut within a character; bytes of an unfinished frame are bounded;
 * what is written in one turn leaves in one write.
 */
import type { Duplex } from 'node:stream'

const NEWLINE = 0x0a

/** Splits what comes in into frames. */
export class FrameReader {
  /** May be changed between two frames. */
  maxBytes: number
  #parts: Buffer[] = []
  #bytes = 0

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /** The frames that this chunk completes. @throws Error on a frame that is too long or no JSON. */
  *push(chunk: Buffer): Generator {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#keep(chunk.subarray(start, end))
      start = end + 1
      const frame = Buffer.concat(this.#parts).toString('utf8')
      this.#parts = []
      this.#bytes = 0
      yield JSON.parse(frame)
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start))
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
  #corked = false

  constructor(socket: Duplex) {
    this.#socket = socket
  }

  /** @param frame JSON text */
  write(frame: string): void {
    if (!this.#socket.writable) return
    if (!this.#corked) {
      this.#corked = true
      this.#socket.cork()
      process.nextTick(() => {
        this.#corked = false
        this.#socket.uncork()
      })
    }
    this.#socket.write(frame)
    this.#socket.write('\n')
  }

  /** Too much waits for the other side to read. */
  get full(): boolean {
    return this.#socket.writableNeedDrain
  }
}
