/** What a worker tells the server of its jobs, now and every minute, so that people can see them and enqueue them by hand. */
import { isTransient } from '../../kernel/attempt.ts'
import type { Timer } from '../../kernel/clock.ts'
import { SignalboxError, toSignalboxError } from '../../kernel/error.ts'
import type { JobManifest } from '../../runs/api.ts'
import type { JobDefinition } from '../define.ts'
import { jsonSchemaOf } from '../json-schema.ts'
import type { WorkerSettings } from './options.ts'
import type { ProcessingParts } from './processing.ts'

const EVERY_MS = 60_000

/** @returns a function that ends it */
export function announce({ connection, settings, name }: ProcessingParts): () => void {
  const { runs, clock } = connection
  if (runs === undefined) return () => undefined
  const manifests = [...settings.jobs.values()].map(manifestOf)
  tellUndescribed(settings)
  let timer: Timer | undefined
  let ended = false
  const tell = async (): Promise<void> => {
    let trouble: unknown
    try {
      await runs.registerJobs(manifests, name)
    } catch (error) {
      trouble = error
      const what = 'the jobs could not be registered'
      settings.onEvent?.({ type: 'trouble', queue: '', what, error: toSignalboxError(error) })
    }
    if (ended || (trouble !== undefined && !isTransient(trouble))) return
    timer = clock.timer(EVERY_MS, () => void tell(), { unref: true })
  }
  void tell()
  return () => {
    ended = true
    timer?.cancel()
  }
}

/** What people then miss of them. */
function tellUndescribed({ jobs, onEvent }: WorkerSettings): void {
  for (const { name, schema } of jobs.values()) {
    const { problem } = jsonSchemaOf(schema)
    if (problem === undefined) continue
    const why = `job ${name}: JSON Schema cannot say its input (${problem}), so its fields are not shown, and a schedule's parameters not checked when they are saved`
    const error = new SignalboxError('invalid_argument', why)
    onEvent?.({ type: 'trouble', queue: '', what: 'the input of a job cannot be described', error })
  }
}

export function manifestOf(definition: JobDefinition): JobManifest {
  const { name, description, queue, secrets, retry, timeoutMs, onLost, keepRuns } = definition
  const { json: input } = jsonSchemaOf(definition.schema)
  const retentionMs = keepRuns?.retentionMs
  return {
    name,
    queue,
    attempts: retry.attempts,
    timeoutMs,
    ...(onLost === undefined ? {} : { onLost }),
    ...(description === undefined ? {} : { description }),
    ...(input === undefined ? {} : { input }),
    ...(secrets.length === 0 ? {} : { secrets: [...secrets] }),
    ...(retentionMs === undefined ? {} : { retentionMs }),
  }
}
