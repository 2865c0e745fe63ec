/** The long version of test/races/kill-server: a hundred kills under fifty members. */
import { it } from 'vitest'
import { killUnderLoad } from '../races/kill-under-load.ts'

it('survives a hundred kills under fifty members', { timeout: 580_000 }, async () => {
  await killUnderLoad({ kills: 100, processes: 5, membersEach: 10, permits: 3, rounds: 150 })
})
