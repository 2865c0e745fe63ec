/** Two hundred join at once where the engine pushes; `hardships.test.ts` has the engine that must be asked. */
import { afterAll, it } from 'vitest'
import { endProcesses } from '../../support/processes.ts'
import { gatherCrowd } from './stories/joins.ts'

afterAll(endProcesses)

it('gives 200 members that join at once on Firestore their turns in order', async () => {
  const crowd = await gatherCrowd('Firestore', 1)
  await crowd.finish()
})
