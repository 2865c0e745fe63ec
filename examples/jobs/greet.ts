/**
 * Two jobs and what a worker gives them. `signalbox worker examples/jobs` finds and runs them.
 *
 *   npx signalbox job enqueue greet --input '{"name":"Ada"}'
 *
 * In a project of your own the import is 'signalbox/jobs'.
 */
import { z } from 'zod'
import { defineJob, permanent } from '../../src/jobs-entry.ts'

export const greet = defineJob({
  name: 'greet',
  description: 'Says hello',
  queue: 'greetings',
  input: z.object({ name: z.string().min(1) }),
  retry: { attempts: 5, minDelay: '1s', maxDelay: '1m' },
  timeout: '10s',
  keepRuns: true,
  run: async ({ name }, { log, progress, attempt }) => {
    log.info(`hello ${name} (attempt ${attempt})`)
    progress({ done: 1, total: 1 })
    return { greeted: name }
  },
})

export const dismiss = defineJob({
  name: 'dismiss',
  description: 'Refuses: shows what becomes of a job that cannot be done',
  queue: 'greetings',
  input: z.object({ name: z.string() }),
  run: ({ name }) => {
    throw permanent(`nobody is called ${name}`)
  },
})
