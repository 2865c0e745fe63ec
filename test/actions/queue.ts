/** A queue as others see it. */
import { expect } from 'vitest'
import { until } from '../support/processes.ts'

export interface Queue {
  holders(): Promise<readonly string[]>
  waiters(): Promise<readonly string[]>
  /** Nobody holds it and nobody waits; a queue that was never used included. */
  isEmpty(): Promise<boolean>
}

/** As the server at `url` lists it. */
export function queueAt(url: string, name: string): Queue {
  const look = async (): Promise<{ holders: string[]; waiters: string[] }> => {
    const answer = await fetch(`${url}/api/v1/turns/${encodeURIComponent(name)}`)
    if (answer.status === 404) return { holders: [], waiters: [] }
    const view = (await answer.json()) as { holders: { id: string }[]; waiters: { id: string }[] }
    return { holders: view.holders.map(({ id }) => id), waiters: view.waiters.map(({ id }) => id) }
  }
  return {
    holders: async () => (await look()).holders,
    waiters: async () => (await look()).waiters,
    async isEmpty() {
      const { holders, waiters } = await look()
      return holders.length + waiters.length === 0
    },
  }
}

/** It has so many waiters, or gets them soon. */
export async function untilWaiting(queue: Queue, count: number): Promise<void> {
  await until(`${count} wait`, async () => (await queue.waiters()).length === count)
}

export async function expectEmpty(queue: Queue): Promise<void> {
  expect([await queue.holders(), await queue.waiters()]).toEqual([[], []])
}
