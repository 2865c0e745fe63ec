/**
 * One history: a queue, servers and members, played event by event from a seed. First chaos, then calm, in which everybody
 * alive must get through; then all is closed and nothing may be left.
 *
 * What it does not do: several queues, operators (pause, drain, evict), clocks beyond 3 % of drift, a store that breaks
 * its own contract.
 */
import { Chaos } from './chaos.ts'
import type { Violation } from './judge.ts'
import { profileOf, type Size } from './profile.ts'
import type { Tally } from './tally.ts'
import { World, type PlayOptions } from './world.ts'

export interface Outcome {
  readonly seed: number
  readonly size: Size
  readonly violation: Violation | undefined
  readonly hash: string
  readonly events: number
  readonly members: number
  readonly grants: number
  readonly evictions: number
  /** True milliseconds the history took. */
  readonly simulatedMs: number
  readonly tally: Tally
}

/** More events within so short a time mean that somebody does the same over and over. */
const LULL_MS = 1
const SPIN = 5_000

/** After everything is closed, requests that are still under way end within this many TTLs. */
const REST_TTLS = 6

export async function play(seed: number, options: PlayOptions = {}): Promise<Outcome> {
  const world = new World(seed, profileOf(seed, options.serverless), options)
  const { judge, timeline } = world
  const onUnhandled = (reason: unknown): void =>
    judge.violated(
      'no rejection is left unhandled',
      reason instanceof Error ? String(reason.stack) : String(reason),
    )
  process.on('unhandledRejection', onUnhandled)
  let events = 0
  let lullSince = 0
  let inLull = 0
  const chaos = new Chaos(world)
  try {
    const stepped = async (): Promise<boolean> => {
      events++
      const more = await timeline.step()
      if (timeline.monotonic() - lullSince > LULL_MS) [lullSince, inLull] = [timeline.monotonic(), 0]
      else if (++inLull > SPIN) judge.violated('nobody spins', `${SPIN} events within ${LULL_MS} ms`)
      judge.check()
      return more && judge.violation === undefined
    }
    await untilThrough(world, chaos, stepped)
    if (judge.violation === undefined) await untilQuiet(world, chaos, stepped)
  } finally {
    process.off('unhandledRejection', onUnhandled)
  }
  const { granted, endings } = judge.ledger
  return {
    seed,
    size: world.profile.size,
    violation: judge.violation,
    hash: world.trace.hash,
    events,
    members: chaos.members.length,
    grants: granted,
    evictions: endings.evictions,
    simulatedMs: timeline.monotonic(),
    tally: world.tally,
  }
}

async function untilThrough(world: World, chaos: Chaos, stepped: () => Promise<boolean>): Promise<void> {
  const { judge, timeline } = world
  const byId = (id: string): number | undefined =>
    chaos.members.find((m) => m.id === id && m.living)?.standingSince()
  let bound = Infinity
  let nextLook = 0
  while (await stepped()) {
    const now = timeline.monotonic()
    if (!chaos.over) continue
    const living = chaos.members.filter((m) => m.living && m.state !== 'over')
    if (living.length === 0) return
    if (bound === Infinity) bound = now + boundMs(world, chaos, living.length)
    if (now >= nextLook) {
      nextLook = now + 100
      judge.checkLeft()
      if (world.settled) judge.checkHandOff(byId, handOffMs(world))
    }
    if (now > bound)
      judge.violated('nobody waits for ever', `${living.length} are not through, ${living[0]?.id} among them`)
  }
  if (judge.violation === undefined) judge.violated('nobody waits for ever', 'nothing happens any more')
}

/** A permit free and the first in line standing ready, without faults: it is granted within this. */
function handOffMs({ profile: { servers, ttlMs } }: World): number {
  // Without a server the first in line may have been far from the front when it last looked.
  return servers > 0 ? 600 : 0.6 * ttlMs + 1_600
}

/**
 * Time enough: for all who live; for the holders that died, a TTL each; for each row of dead waiters as many TTLs as the
 * window must double to hold it. (A grant in between makes the window small again, so scattered dead cost a TTL each.)
 */
function boundMs({ profile, judge }: World, chaos: Chaos, living: number): number {
  const alive = new Set(chaos.members.filter((m) => m.living && m.state !== 'over').map((m) => m.id))
  const { control, line } = judge.ledger
  let ttls = 4 + (control?.holders.length ?? 0)
  let row = 0
  for (const id of [...line.map((w) => w.id), undefined]) {
    if (id !== undefined && !alive.has(id)) row++
    else {
      if (row > 0) ttls += 1 + Math.ceil(Math.log2(row + 1))
      row = 0
    }
  }
  const [, longest] = profile.workMs
  // Without a server, whoever is next may look again only after a while.
  const lookMs = profile.servers === 0 ? 0.6 * profile.ttlMs : 0
  return Math.ceil(living / profile.permits) * (longest * 1.05 + 1_000 + lookMs) + ttls * 1.6 * profile.ttlMs
}

async function untilQuiet(world: World, chaos: Chaos, stepped: () => Promise<boolean>): Promise<void> {
  const { judge, timeline, profile } = world
  judge.checkLeft()
  const servers = chaos.seats.map((seat) => seat.close())
  const end = timeline.monotonic() + REST_TTLS * profile.ttlMs
  while (timeline.pending > 0 && timeline.monotonic() < end) if (!(await stepped())) break
  const machines = [...chaos.members.map((m) => m.machine), ...servers.map((s) => s?.machine)]
  for (const machine of machines)
    if (machine !== undefined && machine.pendingTimers > 0)
      judge.violated('no timer is left', `${machine.name}: ${machine.pendingTimers} timers`)
  if (timeline.pending > 0) judge.violated('no timer is left', `${timeline.pending} events are pending`)
}
