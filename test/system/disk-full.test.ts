/**
 * A full disk, for real: the data directory lies on a file system of a few megabytes (tmpfs; mounting needs root). Requests
 * that change something fail with 503 and leave nothing half done; when there is room again, it goes on.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { startServer, temporaryFolder } from '../support/processes.ts'

const sudo = process.getuid?.() === 0 ? [] : ['sudo']

function asRoot(...command: string[]): void {
  const [program = '', ...args] = [...sudo, ...command]
  execFileSync(program, args)
}

it('answers 503 while the disk is full, half does nothing, and recovers', async () => {
  const disk = temporaryFolder('disk')
  asRoot('mount', '-t', 'tmpfs', '-o', `size=6m,mode=0777`, 'tmpfs', disk)
  try {
    const dataDir = join(disk, 'data')
    mkdirSync(dataDir, { mode: 0o700 })
    let server = await startServer({ dataDir })
    const join1 = async (n: number): Promise<number> => {
      const body = {
        id: `member-${String(n).padStart(6, '0')}`,
        labels: { filler: 'x'.repeat(256), more: 'y'.repeat(256) },
      }
      const answer = await fetch(`${server.url}/api/v1/turns/full/members`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      await answer.text()
      return answer.status
    }
    expect(await join1(0)).toBe(200)
    const filler = join(disk, 'filler')
    try {
      writeFileSync(filler, Buffer.alloc(16 * 1024 * 1024))
    } catch {
      // as full as it gets
    }
    const statuses = new Set<number>()
    const acknowledged: number[] = [0]
    for (let n = 1; n <= 400; n++) {
      const status = await join1(n)
      statuses.add(status)
      if (status === 200) acknowledged.push(n)
    }
    expect([...statuses].every((s) => s === 200 || s === 503)).toBe(true)
    expect(statuses.has(503)).toBe(true)
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
    rmSync(filler)
    expect(await join1(1_000)).toBe(200)
    acknowledged.push(1_000)

    // What was acknowledged, and nothing else, is there; also after a kill.
    for (let round = 0; round < 2; round++) {
      const { holders, waiters } = (await (
        await fetch(`${server.url}/api/v1/turns/full?limit=1000`)
      ).json()) as {
        holders: { id: string; ticket: number }[]
        waiters: { id: string; ticket: number }[]
      }
      const all = [...holders, ...waiters]
      expect(all.map((m) => Number(m.id.slice(7))).sort((a, b) => a - b)).toEqual(acknowledged)
      expect(all.map((m) => m.ticket).sort((a, b) => a - b)).toEqual(acknowledged.map((_, i) => i + 1))
      server = await server.restart()
    }
    await server.stop()
  } finally {
    asRoot('umount', disk)
  }
})
