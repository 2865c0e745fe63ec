/**
 * What the peers run on: Redis and PostgreSQL, each in a folder of its own under the temporary directory, on a free port, stopped by
 * who started it. `redis-server` and PostgreSQL's `initdb` and `postgres` are Debian's packages redis-server and postgresql.
 */
import { execFileSync, spawn } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

const STARTS_WITHIN_MS = 30_000

/** @param fsync `always` or `everysec` (https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/) */
export async function startRedis(fsync) {
  const dir = mkdtempSync(join(tmpdir(), 'bench-redis-'))
  const port = await freePort()
  const settings = { port, bind: '127.0.0.1', dir, appendonly: 'yes', appendfsync: fsync, save: '' }
  const child = spawn(
    'redis-server',
    Object.entries(settings).flatMap(([k, v]) => [`--${k}`, String(v)]),
    {
      stdio: 'ignore',
    },
  )
  await reachable(child, port)
  return {
    facts: { redisPort: port },
    version: firstLine('redis-server', ['--version']),
    ...stopping(child, dir),
  }
}

/** `synchronous_commit` and `fsync` are on, as by default. */
export async function startPostgres() {
  const bin = postgresBin()
  const dir = mkdtempSync(join(tmpdir(), 'bench-postgres-'))
  // PostgreSQL refuses to run as root.
  const user = process.getuid?.() === 0 ? 'postgres' : undefined
  const ids = user === undefined ? {} : { uid: idOf('-u', user), gid: idOf('-g', user) }
  if (user !== undefined) chownSync(dir, ids.uid, ids.gid)
  const data = join(dir, 'data')
  execFileSync(join(bin, 'initdb'), ['-D', data, '-U', 'bench', '--auth', 'trust', '-E', 'UTF8'], {
    ...ids,
    cwd: dir,
    stdio: 'ignore',
  })
  const port = await freePort()
  const child = spawn(
    join(bin, 'postgres'),
    ['-D', data, '-h', '127.0.0.1', '-p', String(port), '-k', dir, '-c', 'shared_buffers=256MB'],
    { ...ids, cwd: dir, stdio: 'ignore' },
  )
  await reachable(child, port)
  execFileSync(join(bin, 'createdb'), ['-h', '127.0.0.1', '-p', String(port), '-U', 'bench', 'bench'], {
    stdio: 'ignore',
  })
  const postgresUrl = `postgres://bench@127.0.0.1:${port}/bench`
  return {
    facts: { postgresUrl },
    version: firstLine(join(bin, 'postgres'), ['--version']),
    ...stopping(child, dir, 'SIGINT'),
  }
}

function stopping(child, dir, signal = 'SIGTERM') {
  return {
    pid: child.pid,
    async stop() {
      const gone = new Promise((done) => child.once('exit', done))
      child.kill(signal)
      await gone
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** CPU of a process and its children, dead ones included: milliseconds (Linux). */
export function cpuMs(pid) {
  const stats = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const text = readFileSync(`/proc/${name}/stat`, 'utf8')
        const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
        return [
          {
            pid: Number(name),
            parent: Number(fields[1]),
            own: Number(fields[11]) + Number(fields[12]),
            dead: Number(fields[13]) + Number(fields[14]),
          },
        ]
      } catch {
        return [] // it has ended meanwhile
      }
    })
  const ticks = stats
    .filter((one) => one.pid === pid || one.parent === pid)
    .reduce((sum, one) => sum + one.own + (one.pid === pid ? one.dead : 0), 0)
  return ticks * 10
}

function postgresBin() {
  const root = '/usr/lib/postgresql'
  const versions = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a)) : []
  if (versions[0] === undefined) throw new Error('no PostgreSQL here: install the Debian package postgresql')
  return join(root, versions[0], 'bin')
}

function idOf(flag, user) {
  return Number(execFileSync('id', [flag, user], { encoding: 'utf8' }))
}

function firstLine(command, args) {
  return execFileSync(command, args, { encoding: 'utf8' }).split('\n', 1)[0]
}

function freePort() {
  return new Promise((done, failed) => {
    const server = createServer()
    server.on('error', failed)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => done(port))
    })
  })
}

async function reachable(child, port) {
  let failure
  child.on('error', (error) => (failure = error))
  for (const until = Date.now() + STARTS_WITHIN_MS; Date.now() < until; await pause(50)) {
    if (failure !== undefined) throw failure
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}`)
    const open = await new Promise((done) => {
      const socket = createConnection(port, '127.0.0.1')
      socket.on('connect', () => done(true) || socket.destroy())
      socket.on('error', () => done(false))
    })
    if (open) return
  }
  throw new Error(`${child.spawnfile} did not listen within ${STARTS_WITHIN_MS} ms`)
}
