/** Runs of the simulator in processes of their own, so that a test uses every core and plants faults in nobody else. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Report } from './report.ts'

const run = fileURLToPath(new URL('run.ts', import.meta.url))

/** @throws when the run did not come to a report */
export function simulate(...args: string[]): Promise<Report> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [run, '--json', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let out = ''
    let err = ''
    child.stdout.on('data', (data: Buffer) => (out += data.toString()))
    child.stderr.on('data', (data: Buffer) => (err += data.toString()))
    child.on('error', reject)
    child.on('close', (code) => {
      try {
        resolve(JSON.parse(out) as Report)
      } catch (cause) {
        reject(new Error(`simulator ${args.join(' ')} ended with ${code}: ${err || out}`, { cause }))
      }
    })
  })
}

/** All of them, two at a time. */
export async function inPairs<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const worker = async (): Promise<void> => {
    for (let i = next++; i < items.length; i = next++) results[i] = await act(items[i] as T)
  }
  await Promise.all([worker(), worker()])
  return results
}
