import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { FrameReader, FrameWriter } from './frames.ts'

const read = (reader: FrameReader, text: string | Buffer): unknown[] => [...reader.push(Buffer.from(text))]

describe('a frame reader', () => {
  it('gives each frame once it is complete, however it is cut', () => {
    const bytes = Buffer.from('{"a":"é🚂"}\n[1]\n2\n')
    for (let cut = 0; cut <= bytes.length; cut++) {
      const reader = new FrameReader(100)
      const frames = [...read(reader, bytes.subarray(0, cut)), ...read(reader, bytes.subarray(cut))]
      expect(frames).toEqual([{ a: 'é🚂' }, [1], 2])
    }
  })

  it('refuses what is no JSON, and an unfinished frame that is too long', () => {
    expect(() => read(new FrameReader(100), 'x\n')).toThrow()
    const reader = new FrameReader(5)
    expect(read(reader, '"123"\n"12')).toEqual(['123'])
    expect(() => read(reader, '345')).toThrow('longer than 5')
  })

  it('keeps what it has when its limit is changed between two frames', () => {
    const reader = new FrameReader(3)
    const frames: unknown[] = []
    for (const frame of reader.push(Buffer.from('1\n"lon'))) {
      frames.push(frame)
      reader.maxBytes = 100
    }
    expect([...frames, ...read(reader, 'ger"\n')]).toEqual([1, 'longer'])
  })
})

describe('a frame writer', () => {
  it('writes the frames of one turn in order, and nothing after the end', async () => {
    const stream = new PassThrough()
    const writer = new FrameWriter(stream)
    for (let i = 0; i < 3; i++) writer.write(String(i))
    await new Promise<void>((resolve) => setImmediate(resolve))
    stream.end()
    writer.write('late')
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk as Buffer)
    expect(Buffer.concat(chunks).toString()).toBe('0\n1\n2\n')
  })
})
