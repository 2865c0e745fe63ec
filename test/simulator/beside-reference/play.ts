/**
 * One history from a seed: a few clients of the dynamo-q tool and a few members of ours meet on one queue of one memory
 * database. Things go wrong on both sides; in the end everybody who lives must have had its turn.
 *
 * What it does not do: clocks of theirs more than a minute off, several queues, a server between members and store.
 */
import { memoryDatabase, type FaultPlan } from '../../../src/drivers/memory/index.ts'
import { seededRandom, type Random } from '../../../src/kernel/id.ts'
import { ReferenceClient, ReferenceTable } from '../../support/reference-client.ts'
import { Timeline } from '../timeline.ts'
import { Judge, QUEUE, type Violation } from './judge.ts'
import { Member, Process, type Character, type Surroundings } from './ours.ts'

export interface Outcome {
  readonly seed: number
  readonly violation: Violation | undefined
  readonly events: number
  readonly simulatedMs: number
  /** Turns of ours that were held, and those of them that were lost. */
  readonly held: number
  readonly lost: number
  /** Jobs of theirs that were at work. */
  readonly jobs: number
  readonly excused: number
}

const END_MS = 2 * 3_600_000
/** Theirs that can never come to the front are cancelled, as people do, after this long. */
const PATIENCE_MS = 200_000

export async function play(seed: number, print?: (line: string) => void): Promise<Outcome> {
  const random = seededRandom(Math.imul(seed, 0x9e3779b1))
  const timeline = new Timeline()
  const database = memoryDatabase()
  const table = new ReferenceTable(database, QUEUE, timeline)
  const judge = new Judge(timeline, table)
  const trace = (who: string, what: string): void =>
    print?.(`${(timeline.monotonic() / 1_000).toFixed(3).padStart(9)}  ${who}: ${what}`)
  const world = { timeline, random, database, table, judge, trace }
  // Some histories are crowded: everybody comes at about the same time.
  const spanMs = random.next() < 0.5 ? 12_000 : 120_000
  const members = enter(world, spanMs)
  const worked = new Set<string>()
  const clients = enterTheirs(world, spanMs, (name) => worked.add(name))
  let events = 0
  const through = (): boolean =>
    members.all.every((m) => m.over || !m.living) &&
    members.all.length === members.expected &&
    clients.all.length === clients.expected &&
    clients.all.every(({ state }) => state === 'over')
  while (judge.violation === undefined && !through()) {
    events++
    if (!(await timeline.step())) break
    judge.check()
    if (timeline.monotonic() > END_MS) break
  }
  if (judge.violation === undefined && !through()) {
    const late = members.all.filter((m) => !m.over && m.living).map((m) => m.name)
    const stuck = clients.all.filter(({ state }) => state !== 'over').map((c) => c.clientId)
    judge.violated('nobody waits for ever', [...late, ...stuck].join())
  }
  const simulatedMs = timeline.monotonic()
  for (const process of members.processes) void process.close()
  return {
    seed,
    violation: judge.violation,
    events,
    simulatedMs,
    held: members.all.filter((m) => m.held).length,
    lost: members.all.filter((m) => m.lost).length,
    jobs: worked.size,
    excused: judge.excused,
  }
}

interface Ours {
  readonly all: Member[]
  readonly processes: Process[]
  readonly expected: number
}

function enter(world: Surroundings, spanMs: number): Ours {
  const { timeline, random } = world
  const between = within(random)
  const chance = (p: number): boolean => random.next() < p
  const expected = Math.floor(between(1, 5))
  const permits = chance(0.7) ? 1 : 2
  const long = chance(0.15)
  const bad = random.next() ** 2
  const faults: FaultPlan = {
    conflict: bad * 0.06,
    lostAfter: bad * 0.1,
    lostBefore: bad * 0.06,
    throttled: bad * 0.06,
    unavailable: bad * 0.05,
    delayBeforeMs: [0, chance(0.5) ? 20 : 1_500],
    delayAfterMs: [0, chance(0.5) ? 20 : 1_500],
  }
  const ours: Ours = { all: [], processes: [], expected }
  for (let n = 1; n <= expected; n++) {
    const ttlMs = long ? 400_000 : chance(0.5) ? 20_000 : 45_000
    const workMs = chance(0.3) ? between(60_000, 180_000) : between(500, 20_000)
    const character: Character = { permits, ttlMs, stopGraceMs: 2_000, workMs }
    timeline.timer(between(0, spanMs), () => {
      const last = ours.processes.at(-1)
      const shares = last !== undefined && last.machine.state === 'running' && chance(0.3)
      const process = shares ? last : new Process(world, `p${n}`, faults)
      if (!shares) ours.processes.push(process)
      const member = new Member(world, `m${n}`, process, character)
      ours.all.push(member)
      process.machine.run(() => void member.live())
      misfortune(world, member)
    })
  }
  return ours
}

function misfortune({ timeline, random, trace }: Surroundings, member: Member): void {
  const between = within(random)
  const kind = random.next()
  const { machine, store } = member.process
  timeline.timer(between(500, 120_000), () => {
    if (member.over || !member.living) return
    if (kind < 0.12) {
      trace(member.name, 'is killed')
      member.process.kill()
    } else if (kind < 0.22) {
      trace(member.name, 'gives up')
      member.abort()
    } else if (kind < 0.36) {
      trace(member.name, 'is frozen')
      machine.freeze()
      timeline.timer(between(1_000, 300_000), () => machine.resume())
    } else if (kind < 0.44) {
      trace(member.name, 'is suspended')
      machine.suspend()
      timeline.timer(between(1_000, 300_000), () => machine.resume())
    } else if (kind < 0.6 && !store.faults.isCut) {
      trace(member.name, 'is cut off')
      store.faults.cut(random.next() < 0.5 ? {} : { failAfterMs: 3_000 })
      timeline.timer(between(5_000, 300_000), () => store.faults.heal())
    } else if (kind < 0.7) {
      trace(member.name, 'is throttled at the guard')
      member.process.guardThrottled = true
      timeline.timer(between(30_000, 300_000), () => (member.process.guardThrottled = false))
    }
  })
}

interface Theirs {
  readonly all: ReferenceClient[]
  readonly expected: number
}

function enterTheirs(world: Surroundings, spanMs: number, worked: (name: string) => void): Theirs {
  const { timeline, random, table, judge, trace } = world
  const between = within(random)
  const expected = Math.floor(between(1, 5))
  const theirs: Theirs = { all: [], expected }
  const slow = random.next() < 0.3
  let at = 0
  let sibling = 'c0'
  let skewMs = 0
  for (let n = 1; n <= expected; n++) {
    // Jobs of one matrix start in one second, some even with one name; see what the reference gets wrong.
    const isSibling = n > 1 && random.next() < 0.3
    if (!isSibling) {
      at = between(0, spanMs)
      sibling = `c${n}`
      skewMs = between(-60_000, 60_000)
    }
    const options = {
      table,
      clock: timeline,
      random,
      clientId: isSibling && random.next() < 0.5 ? sibling : `c${n}`,
      skewMs,
      workMs: random.next() < 0.3 ? between(30_000, 120_000) : between(500, 20_000),
      staleMs: 3_000,
      delayMs: slow ? 1_000 : 50,
      putDelayMs: slow ? 8_000 : 50,
      putLost: slow ? 0.2 : 0,
      readFails: random.next() < 0.1 ? 0.1 : 0,
      onChange: (client: ReferenceClient) => {
        trace(client.clientId, client.state)
        if (client.state === 'working') worked(`c${n}`)
        judge.jobChanged(client)
      },
    }
    const dies = random.next() < 0.15
    timeline.timer(at, () => {
      const client = new ReferenceClient(options)
      theirs.all.push(client)
      void client.run()
      if (dies) timeline.timer(between(1_000, 200_000), () => client.kill())
      impatient(timeline, client)
    })
  }
  return theirs
}

function impatient(timeline: Timeline, client: ReferenceClient): void {
  timeline.timer(PATIENCE_MS, () => {
    if (client.state === 'over') return
    if (client.state === 'dropped' || (client.state === 'waiting' && !client.owns)) client.cancel()
    impatient(timeline, client)
  })
}

function within(random: Random): (min: number, max: number) => number {
  return (min, max) => min + random.next() * (max - min)
}
