/**
 * One client process: `node client.ts WAY '{"address":…}'`. Handles messages that are there already, one way or another, and
 * tells its parent over IPC what that took. The handler does nothing: what is measured is the way.
 */
import type { Measured } from './meter.ts'
import { Meter } from './meter.ts'
import { aloneWays } from './ways-alone.ts'
import { grpcWays } from './ways-grpc.ts'
import { httpWays } from './ways-http.ts'

export interface Task {
  /** gRPC `host:port`, HTTP URL, or the SQS endpoint. */
  readonly address: string
  readonly queue: string
  readonly callers: number
  /** Not measured. */
  readonly warmUp: number
  readonly messages: number
  readonly bytes: number
}

/** Handles messages until the meter has enough. */
export type Way = (task: Task, meter: Meter) => Promise<unknown>

const ways: Readonly<Record<string, Way>> = { ...grpcWays, ...httpWays, ...aloneWays }
const [name = '', json = ''] = process.argv.slice(2)
const task = JSON.parse(json) as Task
const meter = new Meter(task.warmUp, task.messages)
const way = ways[name]
if (way === undefined) throw new Error(`no way '${name}'; there are ${Object.keys(ways).join(', ')}`)
way(task, meter).catch((error: unknown) => {
  console.error(`${name}:`, error)
  process.exit(1)
})
const measured: Measured = await meter.done
process.send?.(measured, () => process.exit())
