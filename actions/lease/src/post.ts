/** The end of the job, whatever became of it: in the one-step form, gives back what the main step took. */
import { runStep } from '../../shared/step.ts'
import { releaseTaken } from './release.ts'
import { maskSecrets } from './server.ts'
import { stepWords } from './words.ts'

await runStep(stepWords, async (signal) => {
  const { env } = process
  maskSecrets(env)
  await releaseTaken({ env, signal })
})
