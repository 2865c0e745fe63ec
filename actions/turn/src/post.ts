/**
 * The end of the job, whatever became of it: gives back what its main step took. For a `server-start` whose `server-stop` has
 * run nothing is left to do.
 *
 * Invariant: a turn that was lost while the job worked fails the job here, if no other step has said so.
 */
import { getState } from '@actions/core'
import { SignalboxError } from '../../../src/kernel/error.ts'
import { say } from '../../shared/log.ts'
import { runStep } from '../../shared/step.ts'
import { agentById, leave, vanished } from './agents.ts'
import { stepWords } from './words.ts'

await runStep(stepWords, async () => {
  const id = getState('agent')
  if (id === '') return // a step that took nothing
  const selected = agentById(id, process.env)
  if (selected !== undefined) {
    await leave(selected)
    const { queue, fence } = selected.agent
    say(
      fence === undefined ? `${queue}: left the queue` : `${queue}: the turn was given back (fence ${fence})`,
    )
  } else if (vanished(id, process.env)) {
    throw new SignalboxError(
      'turn_lost',
      `${getState('queue')}: agent ${id} was killed while the job worked, so the turn was lost`,
    )
  }
})
