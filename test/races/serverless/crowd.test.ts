/**
 * Crowds of real `turn run` processes on two queues of one table, all started at once, while holders and waiters are killed
 * and frozen. Nobody alive is lost, no command works beside its successor, and nothing stays behind.
 */
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import type { Random } from '../../../src/kernel/id.ts'
import { endProcesses, temporaryFolder, until, type Running } from '../../support/processes.ts'
import { chance, pause, shuffled } from './chance.ts'
import { openArena, type Arena } from './place.ts'
import { holdsOf, judgeHolds, leftovers } from './records.ts'
import { isWaiting, turnRun } from './turn-run.ts'
import { judgeWork, steps, stubbornWork, work } from './work.ts'

const TTL_MS = 6_000
const QUEUES = ['red', 'blue'] as const
const ROLES = ['kill-holding', 'freeze-holding', 'kill-waiting', 'kill-waiting', 'freeze-waiting'] as const
type Role = (typeof ROLES)[number] | 'work'

interface Member {
  readonly name: string
  readonly queue: string
  readonly role: Role
  readonly log: string
  readonly running: Running
}

afterAll(endProcesses)

it.each([
  { engine: 'DynamoDB', each: 20 },
  { engine: 'Firestore', each: 12 },
] as const)(
  'survives killed and frozen members: 2 × $each processes on $engine',
  async ({ engine, each }) => {
    const random = chance(engine)
    const arena = await openArena(engine)
    const folder = temporaryFolder('crowd')
    const startedAt = performance.now()
    const members = QUEUES.flatMap((queue) => {
      const roles = shuffled([...ROLES, ...Array<Role>(each - ROLES.length).fill('work')], random)
      return roles.map((role, i) =>
        start(arena, { name: `${queue}-${i}-${role}`, queue, role, log: join(folder, queue) }),
      )
    })
    const ends = await Promise.all(members.map((member) => attend(member, random)))
    // Somebody has to see that the last ones are dead.
    const sweepers = QUEUES.map((queue) =>
      start(arena, { name: `${queue}-last`, queue, role: 'work', log: join(folder, queue) }),
    )
    expect(await Promise.all(sweepers.map(({ running }) => running.exited))).toEqual([0, 0])
    console.log(`${engine}: ${members.length} members in ${Math.round(performance.now() - startedAt)} ms`)

    expect(ends.filter((complaint) => complaint !== undefined)).toEqual([])
    const named = (role: Role): string[] => members.filter((m) => m.role === role).map(({ name }) => name)
    for (const queue of QUEUES) {
      const worked = steps(join(folder, queue))
      expect(judgeWork(worked)).toEqual([])
      const holds = await holdsOf(arena, queue)
      expect(judgeHolds(holds, named('freeze-waiting'))).toEqual([])
      // Those that were meant to die while waiting may have died at the very moment of their grant.
      const mayBeLost = [...named('kill-holding'), ...named('freeze-holding'), ...named('kill-waiting')]
      const idle = holds.filter(({ fence }) => !worked.some((step) => step.fence === fence))
      const lost = holds.filter(({ as }) => as === 'lost')
      expect([...idle, ...lost].filter(({ name }) => !mayBeLost.includes(name))).toEqual([])
    }
    expect(await leftovers(arena, named('kill-waiting'))).toEqual([])
    await arena.close()
  },
)

function start({ place }: Arena, member: Omit<Member, 'running'>): Member {
  const { name, queue, role, log } = member
  const script = role.endsWith('-holding') ? stubbornWork(log, name) : work(log, name, 0.1)
  return { ...member, running: turnRun(place, { name, queue, ttlMs: TTL_MS, script }) }
}

/** Does to a member what its role says. @returns what is wrong with how it ended */
async function attend(member: Member, random: Random): Promise<string | undefined> {
  const { role, running, log, name } = member
  const works = (): boolean => steps(log).some((step) => step.name === name && step.what === 'tick')
  const hasEnded = (): boolean => running.child.exitCode !== null || running.child.signalCode !== null
  if (role !== 'work') {
    const isThere = role.endsWith('-holding') ? works : (): boolean => isWaiting(running)
    await until(`${name} is there`, () => isThere() || hasEnded(), 150_000)
    await pause(random.next() * 1_500)
  }
  if (role.startsWith('kill-')) running.kill('SIGKILL')
  if (role.startsWith('freeze-')) {
    running.kill('SIGSTOP')
    await pause(1.5 * TTL_MS)
    running.kill('SIGCONT')
  }
  const code = await running.exited
  const fine: Record<Role, readonly unknown[]> = {
    work: [0],
    'kill-holding': ['SIGKILL'],
    'freeze-holding': [75],
    // The turn may have come first.
    'kill-waiting': ['SIGKILL', 0],
    'freeze-waiting': [0],
  }
  return fine[role].includes(code) ? undefined : `${name} ended with ${code}: ${running.err()}`
}
