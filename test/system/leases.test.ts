/**
 * Merge-queue leases on a machine that misbehaves: the server dies at any write to its log, the disk is full, the clock jumps by an hour. Needs
 * strace, faketime, and root (or sudo) for a mount. `LEASE_BOUNDARIES=all` dies at every single write.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { post, sendCall, startLeaseServer, timelessView } from '../leases/support/lease-server.ts'
import { calls, STORY_EXPECTS } from '../leases/support/story.ts'
import { endProcesses, temporaryFolder, until, type ServerProcess } from '../support/processes.ts'

afterAll(endProcesses)

describe('a server that is killed in a write', () => {
  const all = process.env['LEASE_BOUNDARIES'] === 'all'
  const providers = [{ name: 'shop', expected_request_count: STORY_EXPECTS }]

  interface Boundary {
    /** The system call in which the server dies; both are made only on the write-ahead log. */
    readonly call: 'fsync' | 'fdatasync' | 'pwrite64'
    /** The how manyth. */
    readonly at: number
  }

  interface End {
    readonly told: readonly string[]
    readonly view: unknown
    readonly died: boolean
  }

  /** Plays the story on a server that dies there; another one goes on with its data, and what was not answered is sent again. */
  async function play(boundary?: Boundary): Promise<End> {
    const dataDir = temporaryFolder('boundary')
    let died = false
    const start = (via?: readonly string[]): Promise<ServerProcess> =>
      startLeaseServer({ providers, dataDir, ...(via === undefined ? {} : { via }) })
    let server: ServerProcess
    if (boundary === undefined) server = await start()
    else {
      // It may die before it is ready: the start makes the queues of the configuration.
      server = await start(dyingAt(boundary, join(dataDir, 'signalbox.db-wal'))).catch(() => {
        died = true
        return start()
      })
    }
    const port = Number(new URL(server.url).port)
    const url = `${server.url}/acme/shop/main`
    const told: string[] = []
    while (told.length < calls.length) {
      const call = calls[told.length]
      if (call === undefined) break
      try {
        told.push(await sendCall(url, call))
      } catch (error) {
        if (!(error instanceof TypeError) || died) throw error
        died = true
        expect(await server.running.exited).toBe('SIGKILL')
        server = await startLeaseServer({ providers, dataDir, port })
      }
    }
    const view = await timelessView(url)
    for (const pid of [...tracedBy(server.running.pid), server.running.pid]) process.kill(pid, 'SIGKILL')
    await server.running.exited
    return { told, view, died }
  }

  it(
    'loses nothing that it had acknowledged, and grants nothing twice',
    { timeout: all ? 1_800_000 : 900_000 },
    async () => {
      const undisturbed = await play()
      expect(undisturbed.told).toEqual(calls.map(({ told }) => told))
      const deaths = { fsync: 0, pwrite64: 0 }
      for (const [call, every] of [
        ['fsync', 1],
        ['pwrite64', all ? 1 : 9],
      ] as const) {
        for (let at = 1; ; at += every) {
          const { died, ...end } = await play({ call, at })
          expect(end, `${call} ${at}`).toEqual({ told: undisturbed.told, view: undisturbed.view })
          if (!died) break
          deaths[call]++
        }
      }
      console.log(`died in ${deaths.fsync} syncs and ${deaths.pwrite64} writes of the log`)
      expect(deaths.fsync).toBeGreaterThan(15)
      expect(deaths.pwrite64).toBeGreaterThan(10)
    },
  )

  function dyingAt({ call, at }: Boundary, log: string): readonly string[] {
    const inject = call === 'fsync' ? 'fsync,fdatasync' : call
    return [
      'strace',
      '-f',
      '-q',
      '-P',
      log,
      '-e',
      `trace=${inject}`,
      '-e',
      `inject=${inject}:signal=KILL:when=${at}`,
      '-o',
      '/dev/null',
    ]
  }
})

/** The server under strace, which would outlive it. */
function tracedBy(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
}

describe('a full disk', () => {
  const sudo = process.getuid?.() === 0 ? [] : ['sudo']
  const asRoot = (...command: string[]): void => {
    const [program = '', ...args] = [...sudo, ...command]
    execFileSync(program, args)
  }

  it('is a 503 in the wire’s form that changes nothing; with room again all goes on', async () => {
    const disk = temporaryFolder('disk')
    asRoot('mount', '-t', 'tmpfs', '-o', 'size=6m,mode=0777', 'tmpfs', disk)
    try {
      const dataDir = join(disk, 'data')
      mkdirSync(dataDir, { mode: 0o700 })
      let server = await startLeaseServer({ providers: [{ expected_request_count: 2 }], dataDir })
      const url = `${server.url}/acme/shop/main`
      expect(await post(`${url}/acquire`, { head_sha: 'a', priority: 1 })).toMatchObject({
        status: 'pending',
      })
      expect(await post(`${url}/acquire`, { head_sha: 'b', priority: 2 })).toMatchObject({ fence: 1 })
      const first = await post(`${url}/acquire`, { head_sha: 'b', priority: 2, lease_seconds: 999 })
      const filler = join(disk, 'filler')
      try {
        writeFileSync(filler, Buffer.alloc(16 * 1024 * 1024))
      } catch {
        // as full as it gets
      }
      // The log has room of its own left: fill it with renewals. Each is acknowledged or refused, nothing between.
      let last = first
      let renewed = first.body['expires_at']
      for (let n = 0; n < 3_000 && last.code === 200; n++) {
        last = await post(`${url}/acquire`, { head_sha: 'b', priority: 2, lease_seconds: 1_000 + n })
        if (last.code === 200) renewed = last.body['expires_at']
      }
      const failure = { code: 503, body: { error: expect.any(String), error_context: 'unavailable' } }
      expect(last).toMatchObject(failure)
      expect(await post(`${url}/release`, { head_sha: 'b', priority: 2, status: 'success' })).toMatchObject(
        failure,
      )
      expect(await post(`${url}/acquire`, { head_sha: 'a', priority: 7 })).toMatchObject(failure)
      expect((await fetch(url, { method: 'DELETE' })).status).toBe(503)
      // Reading works all the while, and shows what was acknowledged.
      const held = {
        phase: 'held',
        last_fence: 1,
        acquired: { head_sha: 'b', expires_at: renewed },
        known: [{ priority: 1 }, {}],
      }
      expect(await (await fetch(url)).json()).toMatchObject(held)
      expect((await fetch(`${server.url}/healthz`)).status).toBe(200)

      rmSync(filler)
      server = await server.restart()
      expect(await (await fetch(url)).json()).toMatchObject(held)
      expect(await post(`${url}/release`, { head_sha: 'b', priority: 2, status: 'success' })).toMatchObject({
        status: 'completed',
      })
      expect(await post(`${url}/acquire`, { head_sha: 'a', priority: 1 })).toMatchObject({
        status: 'completed',
      })
      await server.stop()
    } finally {
      asRoot('umount', '--lazy', disk)
    }
  })
})

describe('a clock that jumps by an hour under a running server', () => {
  const HOUR = 3_600

  /** A server whose wall clock can be moved; its monotonic clock is right. */
  async function shifted(
    ...providers: Parameters<typeof startLeaseServer>[0]['providers']
  ): Promise<{ server: ServerProcess; shift: (seconds: number) => Promise<void> }> {
    const folder = temporaryFolder('clock')
    const file = join(folder, 'offset')
    const write = (seconds: number): void => {
      // Never half a file.
      writeFileSync(`${file}.new`, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}s\n`)
      renameSync(`${file}.new`, file)
    }
    write(0)
    const server = await startLeaseServer({
      providers,
      via: [
        'env',
        `LD_PRELOAD=${libfaketime()}`,
        `FAKETIME_TIMESTAMP_FILE=${file}`,
        'FAKETIME_NO_CACHE=1',
        'FAKETIME_DONT_FAKE_MONOTONIC=1',
      ],
    })
    const offBy = async (): Promise<number> => {
      const date = (await fetch(`${server.url}/healthz`)).headers.get('date') ?? ''
      return (Date.parse(date) - Date.now()) / 1_000
    }
    return {
      server,
      async shift(seconds) {
        write(seconds)
        await until(`the clock is off by ${seconds} s`, async () => Math.abs((await offBy()) - seconds) < 60)
      },
    }
  }

  function libfaketime(): string {
    const set = execFileSync('faketime', ['-f', '+1s', 'sh', '-c', 'echo $LD_PRELOAD'], { encoding: 'utf8' })
    expect(set, 'install faketime').toContain('libfaketime')
    return set.trim()
  }

  it('forwards: a lease keeps what was left of its time, and who waited is not silent', async () => {
    const SHORT_SECONDS = 10
    const three = { ttl_seconds: 60, expected_request_count: 3 }
    const { server, shift } = await shifted(
      { ...three, name: 'long', max_lease_seconds: 3 * HOUR },
      { ...three, name: 'short', max_lease_seconds: SHORT_SECONDS },
    )
    const ask = (repo: string, head_sha: string, priority: number) =>
      post(`${server.url}/acme/${repo}/main/acquire`, { head_sha, priority })
    const release = (repo: string, head_sha: string, priority: number, status: string) =>
      post(`${server.url}/acme/${repo}/main/release`, { head_sha, priority, status })
    for (const repo of ['long', 'short']) {
      expect(await ask(repo, 'a', 1)).toMatchObject({ status: 'pending' })
      expect(await ask(repo, 'b', 2)).toMatchObject({ status: 'pending' })
      expect(await ask(repo, 'c', 3)).toMatchObject({ status: 'acquired', fence: 1 })
    }
    const grantedAt = performance.now()
    await shift(HOUR)
    expect(await ask('long', 'new', 9)).toMatchObject({ code: 409 })
    expect(await ask('long', 'c', 3)).toMatchObject({ status: 'acquired', fence: 1 })
    expect(await ask('long', 'a', 1)).toMatchObject({ status: 'pending' })
    expect(await release('long', 'c', 3, 'success')).toMatchObject({ status: 'completed' })
    expect(await ask('long', 'a', 1)).toMatchObject({ status: 'completed' })

    await until('the dead holder is followed', async () => {
      const { status, fence } = await ask('short', 'b', 2)
      return status === 'acquired' && fence === 2
    })
    // Not before the lease was over that its holder believed in.
    expect(performance.now() - grantedAt).toBeGreaterThan(SHORT_SECONDS * 1_000 - 1_000)
    expect(await ask('short', 'c', 3)).toMatchObject({ code: 409 })
    expect(await release('short', 'c', 3, 'success')).toMatchObject({ code: 400 })
    // And back again: what was granted meanwhile stands.
    await shift(0)
    expect(await ask('short', 'b', 2)).toMatchObject({ status: 'acquired', fence: 2 })
    expect(await ask('short', 'new', 9)).toMatchObject({ code: 409 })
    expect(await release('short', 'b', 2, 'success')).toMatchObject({ status: 'completed' })
    await server.stop()
  })

  it('backwards: a live holder notices nothing, and neither a dead one nor the silent lock anybody out', async () => {
    const LEASE_SECONDS = 5
    const { server, shift } = await shifted(
      { name: 'live', expected_request_count: 1 },
      { name: 'dead', expected_request_count: 1, max_lease_seconds: LEASE_SECONDS },
      { name: 'silent', expected_request_count: 2, ttl_seconds: 3, stabilize_duration_seconds: 1 },
    )
    const ask = (repo: string, head_sha: string, priority: number) =>
      post(`${server.url}/acme/${repo}/main/acquire`, { head_sha, priority })
    expect(await ask('live', 'a', 1)).toMatchObject({ fence: 1 })
    expect(await ask('dead', 'a', 1)).toMatchObject({ fence: 1 })
    const grantedAt = performance.now()
    expect(await ask('silent', 'a', 9)).toMatchObject({ status: 'pending' })
    await shift(-HOUR)
    expect(await ask('live', 'a', 1)).toMatchObject({ status: 'acquired', fence: 1 })
    expect(await ask('live', 'b', 2)).toMatchObject({ code: 409 })

    const granted = (repo: string) => async (): Promise<boolean> => {
      const told = await ask(repo, 'b', 1)
      expect([200, 409]).toContain(told.code)
      return told.status === 'acquired'
    }
    await until('the dead holder is followed', granted('dead'))
    // Not before the lease was over that its holder believed in.
    expect(performance.now() - grantedAt).toBeGreaterThan(LEASE_SECONDS * 1_000 - 100)
    await until('the silent one is forgotten', granted('silent'))
    expect(await timelessView(`${server.url}/acme/dead/main`)).toMatchObject({ last_fence: 2 })
    expect(
      await post(`${server.url}/acme/live/main/release`, { head_sha: 'a', priority: 1, status: 'failure' }),
    ).toMatchObject({ status: 'failure' })
    expect(await ask('live', 'b', 2)).toMatchObject({ status: 'acquired', fence: 2 })
    await server.stop()
  })
})
