/** Resident memory of the sidecar as it is published, in MB (10⁶ bytes): idle, and some time after 10,000 messages. */
import { execFileSync } from 'node:child_process'
import { temporaryFolder } from '../../test/support/processes.ts'
import { measured, startSidecar } from './run.ts'

const SETTLE_MS = 3_000
const MESSAGES = 10_000

export interface Memory {
  readonly idleMb: number
  readonly idleOnSqsMb: number
  readonly afterMb: number
  readonly afterSeconds: number
}

export async function memory(afterSeconds: number): Promise<Memory> {
  const queue = 'bench'
  const onSqs = ['--engine', 'sqs', '--endpoint', 'http://127.0.0.1:1', '--region', 'us-east-1']
  const other = await startSidecar([...onSqs, '--queue', queue], { plain: true })
  await sleep(SETTLE_MS)
  const idleOnSqsMb = residentMb(other.child.pid)
  await other.stop()

  const data = temporaryFolder('bench')
  const sidecar = await startSidecar(['--data-dir', data, '--queue', queue], { plain: true })
  await sleep(SETTLE_MS)
  const idleMb = residentMb(sidecar.child.pid)
  const task = { address: sidecar.grpc, queue, callers: 8, bytes: 100, warmUp: 0, messages: MESSAGES }
  await measured('SendBatch', task)
  await measured('Consume', task)
  await sleep(afterSeconds * 1_000)
  const afterMb = residentMb(sidecar.child.pid)
  await sidecar.stop()
  return { idleMb, idleOnSqsMb, afterMb, afterSeconds }
}

/** NaN where there is no `ps`. */
function residentMb(pid: number | undefined): number {
  try {
    const kib = Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' }))
    return Math.round((kib * 1_024) / 100_000) / 10
  } catch {
    return NaN
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, ms))
}
