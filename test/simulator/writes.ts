/** The parts of one commit to a turn queue, read by the layout of its records (records.ts). */
import type { Change } from '../../src/ports/store.ts'
import { controlKey, linePartition, type Control, type Member, type Waiter } from '../../src/turns/records.ts'

export interface Writes {
  control: Control | undefined
  readonly beats: number[]
  readonly beatsGone: number[]
  readonly waiters: Waiter[]
  readonly waitersGone: Waiter[]
  readonly members: Member[]
  /** The control record was deleted, which nothing may do. */
  controlGone: boolean
}

/** @param waiting the waiter records by key; brought up to date */
export function parseWrites(queue: string, changes: readonly Change[], waiting: Map<string, Waiter>): Writes {
  const [control] = controlKey(queue)
  const writes: Writes = {
    control: undefined,
    beats: [],
    beatsGone: [],
    waiters: [],
    waitersGone: [],
    members: [],
    controlGone: false,
  }
  for (const change of changes) {
    const [partition, key] = change.key
    if (change.op === 'check') continue
    const value: unknown = change.op === 'put' ? change.value : undefined
    if (partition === control) {
      const ticket = Number(key)
      if (ticket === 0 && value !== undefined) writes.control = value as Control
      else if (ticket === 0) writes.controlGone = true
      else (value === undefined ? writes.beatsGone : writes.beats).push(ticket)
    } else if (partition === linePartition(queue)) {
      const waiter = waiting.get(key)
      if (value !== undefined) {
        waiting.set(key, value as Waiter)
        writes.waiters.push(value as Waiter)
      } else if (waiter !== undefined) {
        waiting.delete(key)
        writes.waitersGone.push(waiter)
      }
    } else if (partition.startsWith(`signalbox:m:${queue}:`) && value !== undefined)
      writes.members.push(value as Member)
  }
  return writes
}
