/**
 * Two hundred members in twenty processes join one queue at the same moment. The processes write what they see to a file,
 * and a script that knows nothing of the server judges it.
 */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { root, run, startServer, temporaryFolder, until, type ServerProcess } from '../support/processes.ts'
import { readLog, type Verdict } from './judge.ts'

const PROCESSES = 20
const EACH = 10

let server: ServerProcess
beforeAll(async () => {
  server = await startServer()
})
afterAll(async () => server.stop())

it.each([{ permits: 1 }, { permits: 4 }])(
  'gives 200 members in 20 processes their turns in order, $permits at a time',
  async ({ permits }) => {
    const log = join(temporaryFolder('race'), 'events.jsonl')
    const members = Array.from({ length: PROCESSES }, () =>
      run(process.execPath, [
        join(root, 'test/races/fixtures/members.ts'),
        server.url,
        `race/${permits}`,
        String(EACH),
        log,
        '3',
        '45000',
        String(permits),
      ]),
    )
    await until('all processes stand at the barrier', () => members.every((m) => m.out().includes('ready')))
    for (const { child } of members) child.stdin?.write('go\n')
    const codes = await Promise.all(members.map((m) => m.exited))
    expect(members.map((m) => m.err()).filter((text) => text !== '')).toEqual([])
    expect(codes).toEqual(codes.map(() => 0))

    const verdict = JSON.parse(
      execFileSync(process.execPath, [join(root, 'test/races/judge.ts'), log, String(permits)], {
        encoding: 'utf8',
      }),
    ) as Verdict
    expect(verdict).toMatchObject({ members: PROCESSES * EACH, grants: PROCESSES * EACH, complaints: [] })
    expect(verdict.mostAtWork).toBeLessThanOrEqual(permits)
    const tickets = readLog(log)
      .filter((e) => e.kind === 'in')
      .map((e) => e.ticket)
    expect([...tickets].sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1))
  },
)
