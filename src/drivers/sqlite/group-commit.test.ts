import { describe, expect, it } from 'vitest'
import { SignalboxError } from '../../kernel/error.ts'
import { GroupCommit, type GroupCommitOptions, type Transactor } from './group-commit.ts'

/** A log with transactions: what is durable, and scripted failures. */
class FakeDatabase implements Transactor {
  durable: string[] = []
  pending: string[] | undefined
  transactions: number[] = []
  failBegin: Error | undefined
  failCommit: Error | undefined

  get inTransaction(): boolean {
    return this.pending !== undefined
  }

  begin(): void {
    if (this.pending !== undefined) throw new Error('nested transaction')
    if (this.failBegin !== undefined) throw this.failBegin
    this.pending = []
  }

  isolated<T>(run: (db: this) => T): T {
    const before = [...(this.pending ?? [])]
    try {
      return run(this)
    } catch (error) {
      if (this.pending !== undefined) this.pending = before
      throw error
    }
  }

  commit(): void {
    const written = this.pending ?? []
    this.pending = undefined
    if (this.failCommit !== undefined) throw this.failCommit
    this.durable.push(...written)
    this.transactions.push(written.length)
  }

  rollback(): void {
    this.pending = undefined
  }

  write(text: string): void {
    this.pending?.push(text)
  }
}

function open(options?: GroupCommitOptions): { db: FakeDatabase; group: GroupCommit<FakeDatabase> } {
  const db = new FakeDatabase()
  return { db, group: new GroupCommit(db, options) }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

describe('group commit', () => {
  it('runs what one turn submits in one transaction, in order, each seeing those before', async () => {
    const { db, group } = open()
    const counts = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        group.submit(
          (d) => {
            d.write(String(i))
            return d.pending?.length
          },
          1,
          1,
        ),
      ),
    )
    expect(counts).toEqual(Array.from({ length: 200 }, (_, i) => i + 1))
    expect(db.transactions).toEqual([200])
    expect(group.facts).toEqual({ transactions: 1, commits: 200 })
  })

  it('answers nobody before the transaction is durable', async () => {
    const { db, group } = open()
    const durable = await Promise.all(
      ['a', 'b', 'c'].map((text) => group.submit((d) => d.write(text), 1, 1).then(() => [...db.durable])),
    )
    for (const seen of durable) expect(seen).toEqual(['a', 'b', 'c'])
  })

  it('lets a closure that throws fail alone, without what it wrote', async () => {
    const { db, group } = open()
    const results = await Promise.allSettled([
      group.submit((d) => d.write('a'), 1, 1),
      group.submit(
        (d) => {
          d.write('half')
          throw new RangeError('no')
        },
        1,
        1,
      ),
      group.submit((d) => d.write('c'), 1, 1),
    ])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect((results[1] as PromiseRejectedResult).reason).toBeInstanceOf(RangeError)
    expect(db.durable).toEqual(['a', 'c'])
  })

  it.each(['begin', 'body', 'commit'])(
    'fails everybody when the transaction fails in its %s, and goes on',
    async (place) => {
      const { db, group } = open()
      const error = new SignalboxError('unavailable', 'disk')
      if (place === 'begin') db.failBegin = error
      if (place === 'commit') db.failCommit = error
      const jobs = ['a', 'b', 'c'].map((text) =>
        group.submit(
          (d) => {
            d.write(text)
            if (place !== 'body' || text !== 'b') return
            d.rollback()
            throw error
          },
          1,
          1,
        ),
      )
      for (const result of await Promise.allSettled(jobs)) expect(result).toMatchObject({ reason: error })
      expect(db.durable).toEqual([])
      db.failBegin = undefined
      db.failCommit = undefined
      await group.submit((d) => d.write('later'), 1, 1)
      expect(db.durable).toEqual(['later'])
      expect(group.facts).toEqual({ transactions: 1, commits: 1 })
    },
  )

  it('bounds the work of a flush and lets the event loop turn between', async () => {
    const { db, group } = open({ maxChanges: 10, maxBytes: 1_000 })
    const loop = { turns: 0, done: false }
    const count = async (): Promise<void> => {
      for (; !loop.done; loop.turns++) await turn()
    }
    const counted = count()
    const weights = [4, 4, 4, 25, 1, 1]
    await Promise.all([
      ...weights.map((changes) => group.submit((d) => d.write('x'), changes, 1)),
      ...[600, 600].map((bytes) => group.submit((d) => d.write('x'), 1, bytes)),
    ])
    loop.done = true
    await counted
    // 4+4 | 4 | 25 (alone) | 1+1+1 and 600 bytes | 600 bytes
    expect(db.transactions).toEqual([2, 1, 1, 3, 1])
    expect(loop.turns).toBeGreaterThanOrEqual(5)
  })

  it('gives each submission its own transaction when told not to group', async () => {
    const { db, group } = open({ grouped: false })
    await Promise.all(['a', 'b', 'c'].map((text) => group.submit((d) => d.write(text), 1, 1)))
    expect(db.transactions).toEqual([1, 1, 1])
    expect(db.durable).toEqual(['a', 'b', 'c'])
  })

  it('refuses more than may wait, without running it', async () => {
    const { db, group } = open({ maxWaiting: 3 })
    const jobs = ['a', 'b', 'c', 'd'].map((text) => group.submit((d) => d.write(text), 1, 1))
    await expect(jobs[3]).rejects.toMatchObject({ code: 'throttled' })
    await Promise.all(jobs.slice(0, 3))
    expect(db.durable).toEqual(['a', 'b', 'c'])
  })

  it('finishes what was submitted when closed, and refuses the rest', async () => {
    const { db, group } = open({ maxChanges: 1 })
    const jobs = ['a', 'b', 'c'].map((text) => group.submit((d) => d.write(text), 1, 1))
    await Promise.all([group.close(), group.close()])
    expect(db.durable).toEqual(['a', 'b', 'c'])
    await Promise.all(jobs)
    await expect(group.submit((d) => d.write('late'), 1, 1)).rejects.toMatchObject({ code: 'unavailable' })
    await group.close()
  })
})
