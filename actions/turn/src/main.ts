/** The step itself. */
import { notice, setSecret, warning } from '@actions/core'
import { fileURLToPath } from 'node:url'
import { runStep } from '../../shared/step.ts'
import { clientWait, serverStart, serverStop, take } from './forms.ts'
import { formInput, idleInputs, logLevelInput, tokenInput, versionInput, type Form } from './inputs.ts'
import { stepWords } from './words.ts'

/** This module stays in the entry, beside the agent's; what is shared is moved into chunks. */
const agentProgram = fileURLToPath(new URL('agent.mjs', import.meta.url))

const forms = { take, 'server-start': serverStart, 'client-wait': clientWait, 'server-stop': serverStop }

await runStep(stepWords, async (signal) => {
  const token = tokenInput()
  if (token !== undefined) setSecret(token)
  const form = formInput()
  await forms[form]({ env: process.env, level: remarks(form), agentProgram, signal })
})

/** Says what of the inputs has no effect. @returns how much is to be said */
function remarks(form: Form): NonNullable<ReturnType<typeof logLevelInput>> {
  const version = versionInput()
  if (version !== undefined)
    notice(`version: '${version.slice(0, 40)}' is ignored; the version is that of 'uses:'`)
  for (const name of idleInputs(form)) warning(`${name}: has no effect with action: ${form}`)
  const level = logLevelInput()
  if (level === undefined) warning('log-level: is not known; it may be debug, info, warn or error')
  return level ?? 'info'
}
