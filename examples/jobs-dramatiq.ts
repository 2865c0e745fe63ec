/**
 * Takes over an actor of dramatiq: a producer in Python goes on writing what it always wrote, and this worker does the work. It talks to
 * the server that owns ./data (`npm start`), or to SIGNALBOX_URL; on SQS the worker's side is the same.
 *
 *   node examples/jobs-dramatiq.ts
 *
 * The message below is what `send_welcome.send("ada@example.com", language="en")` puts into SQS through dramatiq-sqs: base64 of JSON.
 * In a project of your own the imports are 'signalbox' and 'signalbox/jobs'.
 */
import { z } from 'zod'
import { defineJob, dramatiq, startWorker } from '../src/jobs-entry.ts'
import { openJobs } from '../src/cli/open-jobs.ts'
import { systemClock } from '../src/kernel/clock.ts'
import { systemRandom } from '../src/kernel/id.ts'

const QUEUE = 'python'
const written = {
  queue_name: QUEUE,
  actor_name: 'send_welcome',
  args: ['ada@example.com'],
  kwargs: { language: 'en' },
  options: {},
  message_id: crypto.randomUUID(),
  message_timestamp: Date.now(),
}

const welcomed = Promise.withResolvers<string>()
const sendWelcome = defineJob({
  name: 'send-welcome',
  queue: QUEUE,
  input: z.object({ to: z.email(), language: z.string().default('en') }),
  run: ({ to, language }) => welcomed.resolve(`welcome ${to} (${language})`),
})

const facts = { env: process.env, cwd: process.cwd(), clock: systemClock, random: systemRandom }
const via = await openJobs({}, facts)
const worker = await startWorker([sendWelcome], {
  via,
  envelopes: [
    dramatiq({
      actors: {
        send_welcome: { job: 'send-welcome', input: ({ args, kwargs }) => ({ to: args[0], ...kwargs }) },
      },
    }),
  ],
})
await via.engine.send(QUEUE, [{ body: Buffer.from(JSON.stringify(written)).toString('base64') }])
console.log(await welcomed.promise)
await worker.drain()
await via.close()
