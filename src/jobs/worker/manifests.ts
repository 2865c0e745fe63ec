/** What a worker tells the server of its jobs, now and every minute, so that people can see them and enqueue them by hand. */
import { isTransient } from '../../kernel/attempt.ts'
import type { Timer } from '../../kernel/clock.ts'
import { toSignalboxError } from '../../kernel/error.ts'
import type { Json } from '../../ports/store.ts'
import type { JobManifest } from '../../runs/api.ts'
import type { JobDefinition } from '../define.ts'
import type { ProcessingParts } from './processing.ts'

const EVERY_MS = 60_000

/** @returns a function that ends it */
export function announce({ connection, settings, name }: ProcessingParts): () => void {
  const { runs, clock } = connection
  if (runs === undefined) return () => undefined
  const manifests = [...settings.jobs.values()].map(manifestOf)
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

export function manifestOf(definition: JobDefinition): JobManifest {
  const { name, description, queue, secrets, retry, timeoutMs, onLost, keepRuns } = definition
  const input = schemaOf(definition)
  const retentionMs = keepRuns?.retentionMs
  return {
    name,
    queue,
    attempts: retry.attempts,
    timeoutMs,
    onLost,
    ...(description === undefined ? {} : { description }),
    ...(input === undefined ? {} : { input }),
    ...(secrets.length === 0 ? {} : { secrets: [...secrets] }),
    ...(retentionMs === undefined ? {} : { retentionMs }),
  }
}

/** Standard JSON Schema, where the schema library offers it. */
interface WithJsonSchema {
  readonly jsonSchema?: { readonly input?: (options: { readonly target: string }) => unknown }
}

function schemaOf({ schema }: JobDefinition): Record<string, Json> | undefined {
  const { jsonSchema } = schema['~standard'] as WithJsonSchema
  try {
    return jsonSchema?.input?.({ target: 'draft-2020-12' }) as Record<string, Json> | undefined
  } catch {
    return undefined // a type that JSON Schema cannot say
  }
}
