/** The step itself. */
import { warning } from '@actions/core'
import { input } from '../../shared/inputs.ts'
import { runStep } from '../../shared/step.ts'
import { acquire } from './acquire.ts'
import { formInput } from './inputs.ts'
import { release } from './release.ts'
import { maskSecrets } from './server.ts'
import { stepWords } from './words.ts'

await runStep(stepWords, async (signal) => {
  const { env } = process
  maskSecrets(env)
  const form = formInput()
  if (form !== 'release') return acquire(form === 'take' ? 'post' : 'step', { env, signal })
  if (input('wait_timeout') !== undefined) warning('wait_timeout: has no effect with release_with_status')
  return release({ env, signal })
})
