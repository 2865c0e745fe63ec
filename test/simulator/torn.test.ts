/**
 * An engine may show a transaction that it is still applying: the control record already, the waiter records not yet. Nobody may
 * be stuck for it, or hold beside another, and what is in the store fits together afterwards.
 */
import { expect, it } from 'vitest'
import { seededRandom } from '../../src/kernel/id.ts'
import { controlKey, linePartition, type Control } from '../../src/turns/records.ts'
import { createTurnsService } from '../../src/turns/service.ts'
import { openTurn } from '../../src/turns/session.ts'
import { Timeline } from './timeline.ts'
import { TornDatabase } from './torn-store.ts'

const QUEUE = 'deploy'
const PATIENCE_MS = 15 * 60_000

interface Tears {
  /** Which share of a transaction's items is applied late, and by how much on average. */
  readonly share: number
  readonly meanMs: number
  readonly members: number
  readonly permits: number
}

/** @returns what went wrong; empty when nothing did */
async function play(seed: number, { share, meanMs, members, permits }: Tears): Promise<string[]> {
  const clock = new Timeline()
  const random = seededRandom(seed)
  const lagMs = (): number => (random.next() < share ? -Math.log(1 - random.next()) * meanMs : 0)
  const database = new TornDatabase({ clock, random, wayMs: [2, 6], lagMs })
  const wrong: string[] = []
  let holding = 0
  let through = 0
  const member = async (): Promise<void> => {
    const turns = createTurnsService({ store: database.connect(), clock, random, serverless: true })
    try {
      const turn = await openTurn({ api: turns, clock, random, queue: QUEUE, permits })
      if (++holding > permits) wrong.push(`${holding} hold ${permits}`)
      await new Promise<void>((done) => void clock.timer(500 + random.next() * 1_500, done))
      holding--
      await turn.release()
    } catch (error) {
      wrong.push(String(error))
    }
    through++
    await turns.close()
  }
  for (let i = 0; i < members; i++) clock.timer(random.next() * 1_500, () => void member())
  const isOver = (): boolean => clock.monotonic() >= PATIENCE_MS || through === members
  while (!isOver() && (await clock.step()));
  if (through < members) wrong.push(`${members - through} of ${members} are stuck`)
  const [control, ...beats] = database.records(controlKey(QUEUE)[0])
  if (control === undefined) return [...wrong, `seed ${seed}: there is no queue`]
  const { waiting, window, holders } = control.value as unknown as Control
  const waiters = database.records(linePartition(QUEUE)).length
  if (waiters !== waiting || beats.length !== holders.length + window.length)
    wrong.push(`${waiting} wait, ${waiters} waiter records, ${beats.length} beats are left`)
  return wrong.map((what) => `seed ${seed}: ${what}`)
}

it.each<Tears>([
  { share: 1, meanMs: 15, members: 12, permits: 1 },
  { share: 0.1, meanMs: 100, members: 12, permits: 1 },
  { share: 0.05, meanMs: 100, members: 40, permits: 2 },
])('gets everybody through: %j', async (tears) => {
  const wrong: string[] = []
  for (let seed = 1; seed <= (tears.members > 20 ? 60 : 120); seed++) wrong.push(...(await play(seed, tears)))
  expect(wrong).toEqual([])
})
