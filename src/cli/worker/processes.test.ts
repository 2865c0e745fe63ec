import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { seededRandom } from '../../kernel/id.ts'
import { ManualClock } from '../../kernel/manual-clock.ts'
import { WorkerProcesses } from './processes.ts'

// A real process: on a loaded machine it takes its time.
vi.setConfig({ testTimeout: 120_000 })

it('a process that does not end when it is told to is killed', async () => {
  const cwd = mkdtempSync(join(tmpdir(), 'signalbox-'))
  onTestFinished(() => rmSync(cwd, { recursive: true, force: true }))
  writeFileSync(
    join(cwd, 'stuck.mjs'),
    `import { writeFileSync } from 'node:fs'
    writeFileSync('began', '')
    await new Promise((done) => setTimeout(done, 2_000_000))`,
  )
  const clock = new ManualClock()
  const processes = new WorkerProcesses({
    argv: ['worker', 'stuck.mjs'],
    env: process.env,
    cwd,
    count: 2,
    graceMs: 5_000,
    clock,
    random: seededRandom(1),
    onRestart: () => undefined,
  })
  onTestFinished(async () => {
    void processes.stop()
    await clock.advance(20_000)
  })
  processes.start()
  await expect.poll(() => existsSync(join(cwd, 'began')), { timeout: 60_000 }).toBe(true)
  let ended = false
  const stopped = processes.stop().then(() => (ended = true))
  await clock.advance(19_999)
  expect(ended).toBe(false)
  await clock.advance(1)
  await stopped
  expect(await processes.ended).toBe(0)
})

it('a process that cannot be made at present is tried again, and keeps nobody from stopping', async () => {
  const clock = new ManualClock()
  let tries = 0
  const processes = new WorkerProcesses({
    argv: ['worker'],
    env: process.env,
    cwd: join(tmpdir(), 'signalbox-there-is-no-such-folder'),
    count: 1,
    graceMs: 5_000,
    clock,
    random: seededRandom(1),
    onRestart: () => (tries += 1),
  })
  processes.start()
  await expect.poll(() => tries, { timeout: 60_000 }).toBe(1)
  await clock.advance(30_000)
  await expect.poll(() => tries, { timeout: 60_000 }).toBeGreaterThan(1)
  await processes.stop()
  expect(await processes.ended).toBe(0)
})
