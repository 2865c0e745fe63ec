/**
 * With real processes and real time, because this is about what the kernel does. Times are short, waits are for facts
 * with generous bounds; where a deadline is checked, it is by the last thing that the victims wrote.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sleep, systemClock as clock } from '../kernel/clock.ts'
import { systemRandom } from '../kernel/id.ts'
import { endGroup, groupLives, groupOf, groupsMarked, signalGroup } from './process-group.ts'
import { supervise, type Outcome, type Supervised, type SuperviseOptions } from './supervise.ts'

const linux = process.platform === 'linux'
const env = { PATH: '/usr/local/bin:/usr/bin:/bin' }
/** What a busy machine may need to run a due timer. In use, the margin of the hold TTL covers it. */
const LATE_MS = 1_500
let dir: string
let pidFile: string
const children: ChildProcess[] = []

/** Ignores polite signals, notes its process id, and shows by a file that it works. */
const STUBBORN = `#!/bin/sh
trap '' TERM INT HUP
echo $$ >> "$1"
while :; do echo . >> "$1.work"; sleep 0.02; done
`
/** A parent of stubborn children and grandchildren, stubborn itself. */
const FAMILY = `#!/bin/sh
"$2/stubborn" "$1" &
sh -c '"$2/stubborn" "$1" & "$2/stubborn" "$1"' sh "$1" "$2" &
exec "$2/stubborn" "$1"
`
/** A process that runs a command under \`supervise\` and prints the outcome. */
const PARENT = `
import { supervise } from '${new URL('supervise.ts', import.meta.url).href}'
import { systemClock as clock } from '${new URL('../kernel/clock.ts', import.meta.url).href}'
const { deadlineMs, ...options } = JSON.parse(process.argv[2])
const at = clock.monotonic() + deadlineMs
const deadline = deadlineMs === undefined ? undefined : { at, wallAt: clock.now() + deadlineMs + 60000 }
const run = supervise({ clock, deadline, ...options })
process.stderr.write('deadline ' + (clock.now() + (deadlineMs ?? 0)) + '\\n')
process.stderr.write('outcome ' + JSON.stringify(await run.done) + '\\n')
`

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'signalbox-supervisor-'))
  pidFile = join(dir, 'pids')
  for (const [name, text] of Object.entries({ stubborn: STUBBORN, family: FAMILY, 'parent.mjs': PARENT })) {
    writeFileSync(join(dir, name), text)
    chmodSync(join(dir, name), 0o755)
  }
})

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  for (const pid of pids()) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It is dead, as it should be.
    }
  }
  rmSync(dir, { recursive: true, force: true })
})

function start(command: string, args: string[] = [], options: Partial<SuperviseOptions> = {}): Supervised {
  const marker = `SIGNALBOX_TURN=${systemRandom.id()}`
  return supervise({
    command,
    args,
    env: { ...env, ...entry(marker) },
    marker,
    stopGraceMs: 300,
    clock,
    ...options,
  })
}

const entry = (marker: string): Record<string, string> => Object.fromEntries([marker.split('=')])
const shell = (script: string, options?: Partial<SuperviseOptions>): Supervised =>
  start('sh', ['-c', script, 'sh', pidFile, dir], options)
const family = (options?: Partial<SuperviseOptions>): Supervised =>
  start(join(dir, 'family'), [pidFile, dir], options)
const inMs = (ms: number, wallMs = ms + 60_000) => ({
  at: clock.monotonic() + ms,
  wallAt: clock.now() + wallMs,
})

interface Parent {
  readonly child: ChildProcess
  readonly marker: string
  readonly stdout: () => string
  /** The value after the word that starts a line of its standard error. */
  readonly said: (word: string) => string | undefined
}

function startParent(command: string[], options: object = {}): Parent {
  const marker = `SIGNALBOX_TURN=${systemRandom.id()}`
  const [first = '', ...args] = command
  const run = {
    command: first,
    args,
    env: { ...env, ...entry(marker) },
    marker,
    stopGraceMs: 300,
    ...options,
  }
  const child = spawn(process.execPath, [join(dir, 'parent.mjs'), JSON.stringify(run)], { stdio: 'pipe' })
  children.push(child)
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const said = (word: string) => new RegExp(`^${word} (.*)$`, 'm').exec(stderr)?.[1]
  return { child, marker, stdout: () => stdout, said }
}

function pids(): number[] {
  return existsSync(pidFile) ? readFileSync(pidFile, 'utf8').split('\n').filter(Boolean).map(Number) : []
}

/** Judged by ps, not by the code under test. */
function alive(pid: number): boolean {
  try {
    const state = execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).trim()
    return state !== '' && !state.startsWith('Z')
  } catch {
    return false
  }
}

async function until(what: string, fact: () => boolean, boundMs = 15_000): Promise<void> {
  for (const end = clock.monotonic() + boundMs; !fact(); await sleep(clock, 10)) {
    if (clock.monotonic() > end) throw new Error(`not within ${boundMs} ms: ${what}`)
  }
}

const atWork = (count: number) => until(`${count} at work`, () => pids().length === count)
const allDead = () => until('all dead', () => !pids().some(alive))
/** Wall-clock ms of the last thing that any of them did. */
const lastWork = (): number => statSync(`${pidFile}.work`).mtimeMs

/** The supervisor's process id: the child of the given process. */
function supervisorOf(parent: number): number {
  const rows = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' }).split('\n')
  const row = rows
    .map((r) => r.trim().split(/\s+/))
    .find(([, ppid, ...args]) => {
      return Number(ppid) === parent && /supervisor/.test(args.join(' '))
    })
  if (row === undefined) throw new Error(`no supervisor under ${parent}`)
  return Number(row[0])
}

describe('a command', () => {
  test.each([
    ['exit 0', { code: 0, signal: null }],
    ['exit 3', { code: 3, signal: null }],
    ['kill -KILL $$', { code: null, signal: 'SIGKILL' }],
    ['kill -TERM $$', { code: null, signal: 'SIGTERM' }],
  ])('ends as it ends: %s', async (script, end) => {
    expect(await shell(script).done).toEqual({ type: 'ended', groupDead: true, overdue: false, ...end })
  })

  test('that does not exist, or may not be executed, is told apart', async () => {
    writeFileSync(join(dir, 'data'), 'x')
    expect(await start('signalbox-no-such-command').done).toEqual({ type: 'failed', errno: 'ENOENT' })
    expect(await start(join(dir, 'data')).done).toEqual({ type: 'failed', errno: 'EACCES' })
    expect(await start('echo', ['a'.repeat(3_000_000)]).done).toEqual({ type: 'failed', errno: 'E2BIG' })
  })

  test('reads this process’s standard input and writes its output, any amount', async () => {
    const parent = startParent(['sh', '-c', 'cat; head -c 5000000 /dev/zero | tr "\\0" x'])
    parent.child.stdin?.end('from outside\n')
    await until('outcome', () => parent.said('outcome') !== undefined)
    expect(JSON.parse(parent.said('outcome')!)).toMatchObject({ code: 0, groupDead: true })
    await until('all output', () => parent.stdout().length === 5_000_013)
    expect(parent.stdout().startsWith('from outside\nxxx')).toBe(true)
  })

  test('gets the environment it was given, and no descriptor of the supervisor’s', async () => {
    const parent = startParent([
      'sh',
      '-c',
      'echo "$SIGNALBOX_TURN"; env | grep -c NODE_; ls -d /proc/self/fd/[3-9] 2>&1',
    ])
    await until('outcome', () => parent.said('outcome') !== undefined)
    const [turn, nodeVariables, ...descriptors] = parent.stdout().trim().split('\n')
    expect(`SIGNALBOX_TURN=${turn}`).toBe(parent.marker)
    expect(nodeVariables).toBe('0')
    // The one that ls itself lists with, if any.
    if (linux) expect(descriptors.filter((line) => !/No such file|\/3$/.test(line))).toEqual([])
  })

  test('receives signals with its whole group', async () => {
    const report = `trap 'echo got >> "$1.got"; exit 7' INT; echo $$ >> "$1"; while :; do sleep 0.02; done`
    const run = shell(`sh -c '${report.replaceAll("'", `'"'"'`)}' sh "$1" & ${report}`)
    await atWork(2)
    run.signal('SIGINT')
    expect(await run.done).toMatchObject({ code: 7, groupDead: true })
    expect(readFileSync(`${pidFile}.got`, 'utf8')).toMatch(/^(got\n){1,2}$/)
    await allDead()
  })
})

describe('what a command leaves behind', () => {
  test('is stopped before the end is reported', async () => {
    const outcome = await shell('(echo $$ >> "$1"; exec sleep 60) & echo $! >> "$1"; exit 4').done
    expect(outcome).toEqual({ type: 'ended', code: 4, signal: null, groupDead: true, overdue: false })
    expect(pids().filter(alive)).toEqual([])
  })

  test('is killed after the grace if it does not stop', async () => {
    const outcome = await shell('"$2/stubborn" "$1" & while ! [ -s "$1" ]; do sleep 0.01; done; exit 4').done
    expect(outcome).toMatchObject({ code: 4, groupDead: true })
    expect(pids()).toHaveLength(1)
    expect(pids().filter(alive)).toEqual([])
  })

  test.runIf(linux)('is found in other groups of its session too (job control)', async () => {
    const outcome = await shell('set -m; "$2/stubborn" "$1" & while ! [ -s "$1" ]; do sleep 0.01; done').done
    expect(outcome).toMatchObject({ groupDead: true })
    expect(pids().filter(alive)).toEqual([])
  })
})

describe('orders', () => {
  test('stop gives the group its grace', async () => {
    const run = shell(
      `trap 'echo bye >> "$1.bye"; exit 0' TERM; echo $$ >> "$1"; while :; do sleep 0.02; done`,
    )
    await atWork(1)
    run.stop()
    expect(await run.done).toMatchObject({ code: 0, groupDead: true })
    expect(readFileSync(`${pidFile}.bye`, 'utf8')).toBe('bye\n')
  })

  test('stop wakes a stopped command, and kills one that does not go', async () => {
    const run = shell('echo $$ >> "$1"; kill -STOP $$; "$2/stubborn" "$1"')
    await atWork(1)
    run.stop()
    expect(await run.done).toMatchObject({ signal: 'SIGTERM', groupDead: true })
    const other = family()
    await atWork(5)
    other.stop()
    expect(await other.done).toMatchObject({ signal: 'SIGKILL', groupDead: true })
    expect(pids().filter(alive)).toEqual([])
  })

  test('kill is at once, even during the grace of a stop', async () => {
    const run = family({ stopGraceMs: 60_000 })
    await atWork(4)
    run.stop()
    run.kill()
    expect(await run.done).toMatchObject({ signal: 'SIGKILL', groupDead: true })
    expect(pids().filter(alive)).toEqual([])
  })

  test('kill before the command has started leaves nothing', async () => {
    const run = family()
    run.kill()
    expect(await run.done).toMatchObject({ type: 'ended', groupDead: true })
    await allDead()
  })

  test('after the end orders do nothing', async () => {
    const run = shell('exit 0')
    await run.done
    run.stop()
    run.kill()
    run.signal('SIGINT')
    run.extend(inMs(1_000))
  })
})

describe('the deadline', () => {
  test('stops the group a grace before it, and kills what is left at it', async () => {
    const deadline = inMs(3_000)
    const wall = clock.now() + 3_000
    const run = family({ deadline, stopGraceMs: 500 })
    await atWork(4)
    expect(await run.done).toMatchObject({ signal: 'SIGKILL', groupDead: true, overdue: true })
    expect(clock.monotonic()).toBeGreaterThan(deadline.at - 50)
    expect(lastWork()).toBeLessThan(wall + LATE_MS)
    expect(pids().filter(alive)).toEqual([])
  })

  test('can be moved on', async () => {
    const run = shell('echo $$ >> "$1"; sleep 4; exit 6', { deadline: inMs(2_500) })
    for (let i = 0; i < 25; i++) {
      await sleep(clock, 150)
      run.extend(inMs(2_500))
    }
    expect(await run.done).toMatchObject({ code: 6 })
  })

  test('counts on the wall clock too, for a machine that slept', async () => {
    const run = family({ deadline: inMs(60_000) })
    await atWork(4)
    run.extend(inMs(60_000, -1))
    expect(await run.done).toMatchObject({ signal: 'SIGKILL', groupDead: true })
    expect(pids().filter(alive)).toEqual([])
  })

  test('that leaves no time to work in starts nothing', async () => {
    expect(await family({ deadline: inMs(200) }).done).toMatchObject({ groupDead: true, overdue: true })
    expect(pids()).toEqual([])
  })
})

describe('when something dies or freezes', () => {
  const command = () => [join(dir, 'family'), pidFile, dir]

  test('the parent killed with -9: the whole group is dead after the grace', async () => {
    const parent = startParent(command(), { deadlineMs: 20_000 })
    await atWork(4)
    parent.child.kill('SIGKILL')
    const killedAt = clock.now()
    await allDead()
    expect(lastWork()).toBeLessThan(killedAt + 4_000)
  })

  test('the parent killed with -9 shortly before the deadline: dead at it, however long the grace', async () => {
    const parent = startParent(command(), { deadlineMs: 4_000, stopGraceMs: 1_000 })
    await atWork(4)
    const deadline = Number(parent.said('deadline'))
    await until('shortly before', () => clock.now() > deadline - 600)
    parent.child.kill('SIGKILL')
    await allDead()
    expect(lastWork()).toBeLessThan(deadline + LATE_MS)
  })

  test('a parent that is frozen: dead at the deadline', async () => {
    const parent = startParent(command(), { deadlineMs: 3_000 })
    await atWork(4)
    parent.child.kill('SIGSTOP')
    const deadline = Number(parent.said('deadline'))
    await allDead()
    expect(lastWork()).toBeLessThan(deadline + LATE_MS)
    parent.child.kill('SIGCONT')
    await until('outcome', () => parent.said('outcome') !== undefined)
    expect(JSON.parse(parent.said('outcome')!)).toMatchObject({ groupDead: true })
  })

  test('the supervisor killed with -9: the parent ends the group', async () => {
    const parent = startParent(command(), { deadlineMs: 20_000 })
    await atWork(4)
    process.kill(supervisorOf(parent.child.pid!), 'SIGKILL')
    await until('outcome', () => parent.said('outcome') !== undefined)
    const outcome = JSON.parse(parent.said('outcome')!) as Outcome
    expect(outcome).toMatchObject({ code: null, signal: null, groupDead: true, overdue: false })
    expect(pids().filter(alive)).toEqual([])
  })

  test('a supervisor that is frozen: the parent kills the group at the deadline', async () => {
    const parent = startParent(command(), { deadlineMs: 2_000 })
    await atWork(4)
    const deadline = Number(parent.said('deadline'))
    process.kill(supervisorOf(parent.child.pid!), 'SIGSTOP')
    await until('outcome', () => parent.said('outcome') !== undefined)
    expect(JSON.parse(parent.said('outcome')!)).toMatchObject({ groupDead: true })
    expect(lastWork()).toBeLessThan(deadline + LATE_MS)
    expect(pids().filter(alive)).toEqual([])
  })

  test('a supervisor that is told to go stops the group first', async () => {
    const parent = startParent(command())
    await atWork(4)
    process.kill(supervisorOf(parent.child.pid!), 'SIGTERM')
    await until('outcome', () => parent.said('outcome') !== undefined)
    expect(JSON.parse(parent.said('outcome')!)).toMatchObject({ signal: 'SIGKILL', groupDead: true })
  })

  test.each([
    ['the parent', (parent: number) => parent],
    ['the supervisor', supervisorOf],
  ])(
    '%s killed with -9 at any moment of the start leaves nothing at work',
    async (_, victimOf) => {
      for (let i = 0; i < 12; i++) {
        const parent = startParent(command())
        await sleep(clock, i * 15)
        try {
          process.kill(victimOf(parent.child.pid!), 'SIGKILL')
        } catch {
          // The supervisor is not there yet: then the parent.
          parent.child.kill('SIGKILL')
        }
        await until(
          'the parent has ended',
          () => parent.child.exitCode !== null || parent.child.signalCode !== null,
        )
      }
      await sleep(clock, 500)
      await allDead()
    },
    60_000,
  )
})

describe('a process group', () => {
  function lead(script: string): { pid: number; marker: string } {
    const marker = `SIGNALBOX_TURN=${systemRandom.id()}`
    const child = spawn('sh', ['-c', script, 'sh', pidFile, dir], {
      detached: true,
      stdio: 'ignore',
      env: { ...env, ...entry(marker) },
    })
    children.push(child)
    return { pid: child.pid!, marker }
  }

  test.runIf(linux)('is found by a mark in its environment', async () => {
    const { pid, marker } = lead('"$2/stubborn" "$1" & wait')
    await atWork(1)
    const found = groupsMarked(marker)
    expect(found?.map(({ id }) => id)).toEqual([pid])
    expect(await endGroup(found![0]!, { clock, killIn: () => 0 })).toBe(true)
    expect(groupsMarked(marker)).toEqual([])
    expect(groupsMarked(`${marker}x`)).toEqual([])
  })

  test.runIf(linux)('whose id has gone to another process is left alone', async () => {
    const { pid } = lead('"$2/stubborn" "$1"')
    await atWork(1)
    const before = { id: pid, bornAt: '1' }
    expect(groupLives(before)).toBe(false)
    signalGroup(before, 'SIGKILL')
    await sleep(clock, 100)
    expect(pids().every(alive)).toBe(true)
    expect(groupLives(groupOf(pid))).toBe(true)
  })

  test('of which only zombies are left is dead', async () => {
    // The leader ends; its parent, this process, is told only by the event loop, which does not run meanwhile.
    const { pid } = lead('exit 0')
    const group = groupOf(pid)
    execFileSync('sleep', ['0.3'])
    expect(groupLives(group)).toBe(false)
  })
})
