import { describe, expect, it } from 'vitest'
import { decimalKey, type Range, type Store } from '../../ports/store.ts'
import { apply, fill, freshPartition, key, openForBlock, put, remove, type OpenTarget } from './context.ts'

const GO_ON = { done: false, value: undefined }
const END = { done: true, value: undefined }

interface Watching {
  next(): Promise<IteratorResult<void>>
  abort(): void
}

/** Starts to watch and takes the first hint. */
async function start(store: Store, range: Range): Promise<Watching> {
  const controller = new AbortController()
  const iterator = store.watch!(range, controller.signal)[Symbol.asyncIterator]()
  expect(await iterator.next()).toEqual(GO_ON)
  return { next: () => iterator.next(), abort: () => controller.abort() }
}

/** Hints that are there without any further change, as far as 30 reads later can tell. */
async function ready(store: Store, watching: Watching): Promise<number> {
  let count = 0
  const drain = async (): Promise<void> => {
    while (count < 1_000 && (await watching.next()).done !== true) count += 1
  }
  const drained = drain()
  for (let i = 0; i < 30; i++) await store.get(key('p', i))
  watching.abort()
  await drained
  return count
}

export function watchSuite(open: OpenTarget): void {
  describe('watch', () => {
    const context = openForBlock(open)

    it('hints after a put, an overwrite, a delete and a deleteRange', async () => {
      const { store } = context
      const partition = freshPartition()
      const watching = await start(store, { partition })
      const changes = [
        () => apply(store, put(key(partition, 1), 1)),
        () => apply(store, put(key(partition, 1), 2, 'present')),
        () => apply(store, remove(key(partition, 1))),
        () => apply(store, put(key('other/' + partition, 1), 1), put(key(partition, 2), 1)),
        () => store.deleteRange({ partition }),
      ]
      for (const change of changes) {
        const hint = watching.next()
        await change()
        expect(await hint).toEqual(GO_ON)
      }
      watching.abort()
    })

    it('hints inside its range, and is not confused by what happens outside', async () => {
      const { store } = context
      const partition = freshPartition()
      const watching = await start(store, { partition, from: decimalKey(10), to: decimalKey(20) })
      await apply(
        store,
        put(key(partition, 9), 1),
        put(key(partition, 20), 1),
        put(key(partition + 'x', 15), 1),
      )
      await store.deleteRange({ partition, to: decimalKey(10) })
      for (const n of [10, 15, 19]) {
        await apply(store, put(key(partition, n), n))
        expect(await watching.next()).toEqual(GO_ON)
      }
      watching.abort()
    })

    it('coalesces: a hundred changes nobody looked at are a few hints', async () => {
      const { store } = context
      const partition = freshPartition()
      const watching = await start(store, { partition })
      for (let i = 0; i < 100; i++) await apply(store, put(key(partition, i), i))
      const count = await ready(store, watching)
      expect(count).toBeGreaterThanOrEqual(1)
      expect(count).toBeLessThan(20)
    })

    it('loses no change between a hint and the re-read', async () => {
      const { store } = context
      const partition = freshPartition()
      const watching = await start(store, { partition })
      for (let i = 0; i < 20; i++) {
        await apply(store, put(key(partition, 2 * i), 'announced'))
        await watching.next()
        const changed = apply(store, put(key(partition, 2 * i + 1), 'meanwhile'))
        let seen = await store.list({ partition }, { limit: 1_000 })
        await changed
        while (seen.records.length < 2 * i + 2) {
          await watching.next()
          seen = await store.list({ partition }, { limit: 1_000 })
        }
      }
      watching.abort()
    })

    it('lets a reader that only reads on hints follow a writer to the end', async () => {
      const { store } = context
      const partition = freshPartition()
      const controller = new AbortController()
      const follow = async (): Promise<number> => {
        let seen = 0
        for await (const _ of store.watch!({ partition }, controller.signal)) {
          seen = (await store.list({ partition }, { limit: 1_000 })).records.length
          if (seen === 150) break
        }
        return seen
      }
      const followers = [follow(), follow(), follow()]
      await fill(
        store,
        partition,
        Array.from({ length: 100 }, (_, i) => i),
      )
      for (let i = 100; i < 150; i++) await apply(store, put(key(partition, i), i))
      expect(await Promise.all(followers)).toEqual([150, 150, 150])
      expect(controller.signal.aborted).toBe(false)
    })

    it('ends without error when its signal aborts, waiting or not', async () => {
      const { store } = context
      const partition = freshPartition()
      const waiting = await start(store, { partition })
      const next = waiting.next()
      waiting.abort()
      expect(await next).toEqual(END)
      expect(await waiting.next()).toEqual(END)

      const busy = await start(store, { partition })
      await apply(store, put(key(partition, 1), 1))
      busy.abort()
      expect(await busy.next()).toEqual(END)

      const late = store.watch!({ partition }, AbortSignal.abort())[Symbol.asyncIterator]()
      expect(await late.next()).toEqual(END)
    })

    it('goes on for others when one of them stops', async () => {
      const { store } = context
      const partition = freshPartition()
      const [a, b] = [await start(store, { partition }), await start(store, { partition })]
      a.abort()
      await apply(store, put(key(partition, 1), 1))
      expect(await b.next()).toEqual(GO_ON)
      b.abort()
    })
  })

  describe('closing a watched store', () => {
    it('ends every watch without error', async () => {
      const target = await open()
      const partition = freshPartition()
      const watching = [await start(target.store, { partition }), await start(target.store, { partition })]
      const ends = watching.map((w) => w.next())
      await target.store.close()
      expect(await Promise.all(ends)).toEqual([END, END])
      await target.close()
    })
  })
}
