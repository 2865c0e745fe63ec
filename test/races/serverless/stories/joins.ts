/**
 * Two hundred members, each as alone as a process of its own, join one queue within two seconds, half of them at the same
 * moment. They write what they see to a file, and a judge that knows nothing of the engine reads it.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { root, run, temporaryFolder, until, type Running } from '../../../support/processes.ts'
import { judge, readLog } from '../../judge.ts'
import { openArena, type Arena, type EngineName } from '../place.ts'
import { leftovers } from '../records.ts'

const PROCESSES = 5
const EACH = 40
const MEMBERS = PROCESSES * EACH
const QUEUE = 'race'

interface Event {
  readonly kind: 'asked' | 'ticket' | 'in' | 'out'
  readonly member: string
  readonly at: number
  readonly ticket?: number
}

/** The members have joined. */
export interface Crowd {
  /** Until all have had their turns; then judges. */
  finish(): Promise<void>
}

/** Resolves once all have their tickets. */
export async function gatherCrowd(engine: EngineName, permits: number): Promise<Crowd> {
  const arena = await openArena(engine)
  const log = join(temporaryFolder('race'), 'events.jsonl')
  const args = [JSON.stringify(arena.place), QUEUE, String(EACH), log, '3', '45000', String(permits)]
  const processes = Array.from({ length: PROCESSES }, () =>
    run(process.execPath, [join(root, 'test/races/serverless/fixtures/members.ts'), ...args]),
  )
  await until('all stand at the barrier', () => processes.every((p) => p.out().includes('ready')))
  const startedAt = performance.now()
  for (const { child } of processes) child.stdin?.write('go\n')
  const ticketed = (): number =>
    new Set(eventsOf(log).flatMap((e) => (e.kind === 'asked' ? [] : [e.member]))).size
  await until('all have tickets', () => ticketed() === MEMBERS || processes.some(hasFailed), 150_000)
  console.log(`${engine}: ${MEMBERS} tickets in ${Math.round(performance.now() - startedAt)} ms`)
  return {
    async finish() {
      const codes = await Promise.all(processes.map((p) => p.exited))
      console.log(`${engine}: ${MEMBERS} turns in ${Math.round(performance.now() - startedAt)} ms`)
      expect(processes.map((p) => p.err()).filter((text) => text !== '')).toEqual([])
      expect(codes).toEqual(codes.map(() => 0))
      await judgeCrowd(arena, log, permits)
      await arena.close()
    },
  }
}

async function judgeCrowd(arena: Arena, log: string, permits: number): Promise<void> {
  const seen = readLog(log).filter(({ kind }) => (kind as string) !== 'asked')
  expect(judge(seen, permits)).toMatchObject({ members: MEMBERS, grants: MEMBERS, complaints: [] })
  const events = eventsOf(log)
  const tickets = events.flatMap(({ kind, ticket = 0 }) => (kind === 'in' ? [ticket] : []))
  expect([...tickets].sort((a, b) => a - b)).toEqual(Array.from({ length: MEMBERS }, (_, i) => i + 1))
  expect(overtaken(events)).toEqual([])
  expect(await leftovers(arena)).toEqual([])
}

function eventsOf(log: string): Event[] {
  if (!existsSync(log)) return []
  const text = readFileSync(log, 'utf8')
  // The last line may still be being written.
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n')
  return lines.flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Event]))
}

function hasFailed({ child }: Running): boolean {
  return child.exitCode !== null && child.exitCode !== 0
}

/** Whoever asked after another one was told its ticket must stand behind it. */
function overtaken(events: readonly Event[]): string[] {
  const asked = new Map(events.filter(({ kind }) => kind === 'asked').map((e) => [e.member, e.at]))
  const told = new Map<string, Event>()
  for (const event of events) {
    if (event.kind !== 'asked' && !told.has(event.member)) told.set(event.member, event)
  }
  const complaints: string[] = []
  for (const first of told.values()) {
    for (const second of told.values()) {
      if ((asked.get(second.member) ?? 0) <= first.at || (second.ticket ?? 0) > (first.ticket ?? 0)) continue
      complaints.push(`${second.member} joined after ${first.member} and came before it`)
    }
  }
  return complaints
}
