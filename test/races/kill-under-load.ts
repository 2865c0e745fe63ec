/**
 * kill -9 of the server at random moments while members in several processes take turns. The members write the log, and the judge, which
 * knows nothing of the server, reads it.
 */
import { join } from 'node:path'
import { expect } from 'vitest'
import { isAlive, root, run, startServer, temporaryFolder, until } from '../support/processes.ts'
import { judge, readLog } from './judge.ts'

export interface KillPlan {
  readonly kills: number
  readonly processes: number
  readonly membersEach: number
  readonly permits: number
  /** Turns each member takes; enough for the load to outlast the kills. */
  readonly rounds: number
}

export async function killUnderLoad({
  kills,
  processes,
  membersEach,
  permits,
  rounds,
}: KillPlan): Promise<void> {
  let server = await startServer()
  const log = join(temporaryFolder('kills'), 'events.jsonl')
  const members = Array.from({ length: processes }, () =>
    run(process.execPath, [
      join(root, 'test/races/fixtures/members.ts'),
      server.url,
      'deploy',
      String(membersEach),
      log,
      '15',
      '10000',
      String(permits),
      String(rounds),
    ]),
  )
  await until('all processes stand at the barrier', () => members.every((m) => m.out().includes('ready')))
  for (const { child } of members) child.stdin?.write('go\n')
  let underLoad = 0
  for (let kill = 0; kill < kills; kill++) {
    await new Promise((wake) => setTimeout(wake, 50 + Math.random() * 700))
    if (members.some((m) => isAlive(m.pid))) underLoad++
    server = await server.restart()
  }
  const codes = await Promise.all(members.map((m) => m.exited))
  await server.stop()
  expect(members.map((m) => m.err()).join('')).toBe('')
  expect(codes).toEqual(codes.map(() => 0))
  const verdict = judge(readLog(log), permits)
  expect(verdict.complaints).toEqual([])
  expect(verdict.grants).toBe(processes * membersEach * rounds)
  console.log(`${kills} kills, ${underLoad} of them under load; ${verdict.grants} grants, none twice`)
  expect(underLoad).toBe(kills)
}
