import { describe, expect, it, onTestFinished } from 'vitest'
import type { MemoryStore } from '../drivers/memory/index.ts'
import { seededRandom } from '../kernel/id.ts'
import { notice, ofJob, world, type World, type WorldOptions } from './testing/world.ts'
import { NoticeWriter } from './wanted.ts'

async function beside({ clock, database }: World): Promise<NoticeWriter & { readonly store: MemoryStore }> {
  const random = seededRandom(7)
  const store = database.connect({ clock, random })
  const writer = new NoticeWriter({ store, clock, random })
  onTestFinished(() => writer.close())
  await writer.start()
  return Object.assign(writer, { store })
}

async function started(options?: WorldOptions): Promise<World> {
  const made = world(options)
  onTestFinished(() => made.notes.close())
  await made.notes.start()
  return made
}

describe('a worker on the store, which is no server', () => {
  it('leaves notices that the server delivers', async () => {
    const made = await started()
    const writer = await beside(made)
    const changes = writer.changesFor(notice())
    expect((await made.store.commit(changes)).ok).toBe(true)
    await made.clock.advance(10_000)
    expect(made.taken['ops']?.map(({ kind }) => kind)).toEqual(['failed'])
  })

  it('leaves none that nobody wants', async () => {
    const made = await started({ rules: [{ events: ['failed'], jobs: ['report'], channels: ['ops'] }] })
    const writer = await beside(made)
    expect(writer.changesFor(ofJob())).toHaveLength(1)
    expect(writer.changesFor(ofJob({ job: 'other' }))).toEqual([])
    expect(writer.changesFor(ofJob({ kind: 'lost' }))).toEqual([])
  })

  it('tells of a success that ends a streak, once it has heard of that', async () => {
    const made = await started()
    const writer = await beside(made)
    const success = ofJob({ kind: 'succeeded' })
    await made.tell(ofJob())
    expect(writer.changesFor(success)).toEqual([])
    await made.clock.advance(60_000)
    expect(writer.changesFor(success)).toHaveLength(1)
  })

  it('learns that channels were configured, and that there are none any more', async () => {
    const made = world()
    onTestFinished(() => made.notes.close())
    const writer = await beside(made)
    expect(writer.changesFor(notice())).toEqual([])
    await made.notes.start()
    await made.clock.advance(60_000)
    expect(writer.changesFor(notice())).toHaveLength(1)
    await made.notes.close()
    await made.service({ channels: [] }).notes.start()
    await made.clock.advance(60_000)
    expect(writer.changesFor(notice())).toEqual([])
  })

  it('keeps to what it knows while the store does not answer', async () => {
    const made = await started()
    const writer = await beside(made)
    writer.store.faults.plan = { throttled: 1 }
    await made.clock.advance(120_000)
    expect(writer.changesFor(notice())).toHaveLength(1)
  })

  it('forgets the servers when the last one was gone for a week', async () => {
    const made = await started({ pollMs: 3_600_000 })
    await made.clock.advance(9 * 86_400_000)
    const writer = await beside(made)
    expect(writer.changesFor(notice())).toHaveLength(1)
    await made.notes.close()
    await writer.close()
    await made.clock.advance(9 * 86_400_000)
    const later = await beside(made)
    expect(later.changesFor(notice())).toEqual([])
  })
})
